"""Training: how a batch is prepared, one step of each stage, and the loop around them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from pix2pix.color import rgb_to_lab, split_lab
from pix2pix.data.augment import augment, degrade, draw_augmentation, draw_degradation, draw_film, film_lightness
from pix2pix.data.dataset import ColorizationDataset, batches, epoch_order
from pix2pix.data.hint_sampling import draw_hints, sample_hints
from pix2pix.data.recoloring import draw_recoloring, recolor
from pix2pix.distributed import World, any_process
from pix2pix.losses import l1_loss
from pix2pix.recipes import Settings
from pix2pix.recorder import Recorder
from pix2pix.state import State


class Batch(NamedTuple):
    """What a step works on, all in [-1, 1]: L (n, 1, H, W), ab (n, 2, H, W), hints (n, 3, H, W) or None."""

    lightness: Tensor
    ab: Tensor
    hints: Tensor | None


def prepare_batch(photos: Tensor, settings: Settings, random: torch.Generator, share: slice = slice(None)) -> Batch:
    """uint8 photos (n, 3, H, W) to the L the generator sees, the ab it should predict, and the hints it is given.

    `random` draws for the whole batch of all processes, `share` picks this process's part: the same numbers whatever
    their count.
    """
    recipe, size, count = settings.recipe, settings.size, settings.recipe.batch_size
    photos = augment(photos, draw_augmentation(count, random, crop=recipe.crop)[share], size)
    squares = draw_hints(count, size, random, share_without=1 - recipe.hints)[share] if recipe.hints else None
    if recipe.recolor and squares is not None:
        photos, squares = recolor(photos, squares, draw_recoloring(count, random, recipe.recolor)[share])
    lightness, ab = split_lab(rgb_to_lab(photos))
    if recipe.film:
        lightness = film_lightness(photos, lightness, draw_film(count, random, recipe.film)[share])
    if recipe.degrade:
        lightness = degrade(lightness, draw_degradation(count, random, recipe.degrade)[share])
    ab = (recipe.chroma * ab).clamp_(-1, 1)
    hints = None if squares is None else sample_hints(ab, squares)
    lightness, ab = (planes.contiguous(memory_format=torch.channels_last) for planes in (lightness, ab))
    return Batch(lightness, ab, hints)


def pretrain_step(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of the generator alone: L1 and, where the recipe has it, the feature loss. Returns the losses."""
    with state.precision.autocast():
        fake_ab = state.trained["generator"](batch.lightness, batch.hints)
    losses = {"loss_G_L1": l1_loss(fake_ab, batch.ab)}
    if state.feature_loss is not None:
        with state.precision.autocast():
            feature = state.feature_loss(batch.lightness, fake_ab, batch.ab)
        losses["loss_G_feature"] = state.recipe.lambda_feature * feature
    state.descend("generator", torch.stack(list(losses.values())).sum())
    return losses


def gan_step(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of the discriminator, then one of the generator against it. Returns the losses.

    The discriminator sees L and ab, never the hints.
    """
    recipe, gan_loss, discriminator = state.recipe, state.gan_loss, state.discriminator
    assert discriminator is not None
    with state.precision.autocast():
        fake_ab = state.trained["generator"](batch.lightness, batch.hints)
        logits_fake = state.trained["discriminator"](batch.lightness, fake_ab.detach())
        logits_real = state.trained["discriminator"](batch.lightness, batch.ab)
    of_d = {"loss_D_fake": gan_loss(logits_fake, False), "loss_D_real": gan_loss(logits_real, True)}
    of_d["loss_D"] = (of_d["loss_D_fake"] + of_d["loss_D_real"]) / 2
    state.descend("discriminator", of_d["loss_D"])

    discriminator.requires_grad_(False)
    with state.precision.autocast():
        logits = discriminator(batch.lightness, fake_ab)
    of_g = {"loss_G_GAN": gan_loss(logits, True, for_generator=True)}
    of_g["loss_G_L1"] = recipe.lambda_l1 * l1_loss(fake_ab, batch.ab)
    if state.feature_loss is not None:
        with state.precision.autocast():
            feature = state.feature_loss(batch.lightness, fake_ab, batch.ab)
        of_g["loss_G_feature"] = recipe.lambda_l1 * recipe.lambda_feature * feature
    loss_g = torch.stack(list(of_g.values())).sum()
    state.descend("generator", loss_g)
    discriminator.requires_grad_(True)
    return of_d | of_g | {"loss_G": loss_g}


def train(
    state: State,
    photos: ColorizationDataset,
    recorder: Recorder,
    *,
    device: torch.device,
    world: World | None = None,
    workers: int = 0,
) -> int | None:
    """Train until the last epoch, or until SIGINT or SIGTERM: then save and return that signal's number.

    Raises UserError when a loss is no longer finite or a file cannot be written.
    """
    world = world or World()
    settings, recipe = state.settings, state.recipe
    step = gan_step if settings.stage == "gan" else pretrain_step
    share = slice(world.rank, None, world.size)  # of every batch
    recorder.start(state)
    with _stop_signals() as received:
        while state.epoch < recipe.epochs:
            order = epoch_order(len(photos), recipe.batch_size, seed=settings.seed, epoch=state.epoch)
            mine = [indices[share] for indices in order[state.batch :]]
            with recorder.progress(state, len(order)):
                for pixels in batches(photos, mine, workers=workers, pin_memory=device.type == "cuda"):
                    batch = prepare_batch(pixels.to(device, non_blocking=True), settings, state.random, share)
                    state.advance(step(state, batch))
                    recorder.after_step(state)
                    if any_process(bool(received), device):
                        recorder.save_stopped(state)
                        return received[0] if received else int(signal.SIGTERM)
            recorder.after_epoch(state, len(order))
    return None


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM; a second Ctrl-C ends the program at once."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {kind: signal.signal(kind, note) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
