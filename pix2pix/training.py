"""Training: a plain loop over epochs and batches for both stages, with everything a resume needs in its state."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pix2pix.checkpoint import save_generator, save_training
from pix2pix.color import rgb_to_lab, split_lab
from pix2pix.data.augment import augment, degrade, draw_augmentation, draw_degradation
from pix2pix.data.dataset import ColorizationDataset, batches, epoch_order
from pix2pix.device import Precision
from pix2pix.distributed import World, any_process, average, average_gradients
from pix2pix.errors import UserError
from pix2pix.evaluation.figures import draw_curves, draw_sheet
from pix2pix.evaluation.metrics import ssim
from pix2pix.evaluation.scoring import eval_mode, means, score
from pix2pix.files import append_json_line, read_json_lines
from pix2pix.inference import colorize_batch, gray_batch
from pix2pix.losses import FeatureLoss, GANLoss, l1_loss
from pix2pix.recipes import Recipe
from pix2pix.state import Settings, State, loss_names

SAMPLES = 5  # photos in each figure
LIVELINESS = 4.0  # dB of PSNR that colour as strong as the truth's is worth over none, in the GAN stage's score


def train(
    settings: Settings,
    state: State,
    training: ColorizationDataset,
    validation: ColorizationDataset,
    *,
    feature_loss: FeatureLoss | None = None,
    run: Path,
    about: dict[str, Any],
    device: torch.device,
    precision: Precision,
    world: World | None = None,
    workers: int = 0,
    tensorboard: bool = False,
) -> int | None:
    """Train until the last epoch, or until SIGINT or SIGTERM: then save and return that signal's number.

    `about` is saved with the generator. Raises UserError when a loss is no longer finite or a file cannot be written.
    """
    world = world or World()
    recipe, names = settings.recipe, loss_names(settings)
    writer = _summary_writer(run) if tensorboard and world.is_main else None
    samples = torch.stack([validation[i] for i in range(min(SAMPLES, len(validation)))])
    share = slice(world.rank, None, world.size)  # of every batch
    photos_per_step = recipe.batch_size
    finite = torch.zeros(len(names), device=device)  # for how many steps of the epoch each loss has been so

    def save(name: str) -> None:
        if world.is_main:
            save_training(run / name, {"stage": settings.stage, "photos": len(training), **state.state_dict()})

    if state.step == 0:
        save("last.pt")  # so that a run can be resumed whenever it was stopped
    with _stop_signals() as received:
        while state.epoch < recipe.epochs:
            order = epoch_order(len(training), recipe.batch_size, seed=settings.seed, epoch=state.epoch)
            mine = [indices[share] for indices in order[state.batch :]]
            finite.fill_(state.batch)
            pin = device.type == "cuda"
            bar = tqdm(
                total=len(order) * photos_per_step,
                initial=state.batch * photos_per_step,
                unit="photo",
                desc=f"epoch {state.epoch + 1}/{recipe.epochs}",
                disable=not world.is_main,
                smoothing=0.05,
            )
            with bar:
                clock = time.perf_counter()
                for photos in batches(training, mine, workers=workers, pin_memory=pin):
                    maps = draw_augmentation(recipe.batch_size, state.augmentation, crop=recipe.crop)[share]
                    photos = augment(photos.to(device, non_blocking=True), maps, settings.size)
                    lightness, ab = split_lab(rgb_to_lab(photos))
                    if recipe.degrade:
                        draws = draw_degradation(recipe.batch_size, settings.size, state.augmentation, recipe.degrade)
                        lightness = degrade(lightness, draws[share])
                    lightness = lightness.contiguous(memory_format=torch.channels_last)
                    ab = (recipe.chroma * ab).clamp(-1, 1).contiguous(memory_format=torch.channels_last)
                    step = _gan_step if settings.stage == "gan" else _pretrain_step
                    losses = step(state, recipe, precision, lightness, ab, feature_loss)
                    values = torch.stack([losses[name].detach() for name in names])
                    state.sums += values
                    finite += state.sums.isfinite()
                    if state.ema is not None:
                        _update_average(state.ema, state.generator, recipe.ema_decay, state.step)
                    for scheduler in state.schedulers.values():
                        scheduler.step()
                    state.batch += 1
                    state.step += 1
                    state.seconds -= clock - (clock := time.perf_counter())
                    bar.update(photos_per_step)

                    if state.step % settings.log_every == 0:
                        losses = _mean_losses(state, names, finite)
                        if world.is_main:
                            bar.write(f"step {state.step}: " + ", ".join(f"{k} {v:.5f}" for k, v in losses.items()))
                            append_json_line(run / "steps.jsonl", {"step": state.step, **losses})
                            draw_samples(state.evaluated, samples, settings.size, _sample_path(run, state.step), device)
                            if writer:
                                _write_scalars(writer, losses, state.step)
                        save("last.pt")
                    if any_process(bool(received), device):
                        _mean_losses(state, names, finite)  # refuses to save numbers that are not finite
                        save("last.pt")
                        any_process(True, device)  # all wait until it is saved
                        return received[0] if received else int(signal.SIGTERM)

            losses = _mean_losses(state, names, finite)
            epoch, seconds = state.epoch, state.seconds
            rates = {f"lr_{name}": optimizer.param_groups[0]["lr"] for name, optimizer in state.optimizers.items()}
            state.epoch, state.batch, state.seconds = state.epoch + 1, 0, 0.0
            state.sums.zero_()
            if world.is_main:
                scores = means(score(state.evaluated, validation, settings.size, device=device))
                line = {
                    "epoch": epoch + 1,
                    "step": state.step,
                    "losses": losses,
                    **rates,
                    "photos_per_second": round(len(order) * photos_per_step / seconds, 2),
                    "validation": scores,
                }
                append_json_line(run / "history.jsonl", line)
                print(describe_epoch(line), flush=True)
                draw_samples(state.evaluated, samples, settings.size, _sample_path(run, state.step), device)
                if writer:
                    _write_scalars(writer, losses | rates | scores["model"], state.step)
                reached = validation_score(settings.stage, scores)
                if reached > state.best:
                    state.best = reached
                    results = {"epoch": epoch + 1, "step": state.step, "validation": scores}
                    save("best.pt")
                    save_generator(
                        run / "generator.pt", state.evaluated, size=settings.size, about=about | {"results": results}
                    )
                try:
                    draw_curves(read_json_lines(run / "history.jsonl"), run / "curves.png")
                except UserError as error:
                    if epoch == 0:
                        print(error)
            save("last.pt")
    return None


def validation_score(stage: str, scores: dict[str, dict[str, float]]) -> float:
    """What best.pt and generator.pt are chosen by, higher is better.

    Pretraining: the validation photos' PSNR in dB. GAN stage: that minus 4 dB times how far the colorfulness is from
    the truth's, relative to it, since PSNR alone prefers the dullest colours.
    """
    model = scores["model"]
    if stage == "pretrain":
        return model["psnr"]
    return model["psnr"] - LIVELINESS * abs(1 - model["colorfulness"] / max(scores["truth"]["colorfulness"], 1e-6))


def describe_epoch(line: dict[str, Any]) -> str:
    model, gray, truth = (line["validation"][row] for row in ("model", "gray", "truth"))
    return (
        f"epoch {line['epoch']}: "
        + ", ".join(f"{name} {value:.5f}" for name, value in line["losses"].items())
        + f"; {line['photos_per_second']:.1f} photos/s"
        + f"; validation PSNR {model['psnr']:.2f} dB (gray {gray['psnr']:.2f})"
        + f", SSIM {model['ssim']:.4f} (gray {gray['ssim']:.4f})"
        + f", colorfulness {model['colorfulness']:.1f} (truth {truth['colorfulness']:.1f})"
    )


@torch.inference_mode()
def draw_samples(generator: nn.Module, photos: Tensor, size: int, path: Path, device: torch.device) -> None:
    """The report's figure: gray, fake (with its SSIM) and real, for uint8 photos (N, 3, H, W)."""
    photos = photos.to(device)
    with eval_mode(generator):
        fake = colorize_batch(generator, photos, size)
    captions = [{"fake": f"SSIM {value:.3f}"} for value in ssim(fake, photos).tolist()]
    draw_sheet([("gray", gray_batch(photos)), ("fake", fake), ("real", photos)], captions, path)


def _pretrain_step(
    state: State,
    recipe: Recipe,
    precision: Precision,
    lightness: Tensor,
    ab: Tensor,
    feature_loss: FeatureLoss | None = None,
) -> dict[str, Tensor]:
    with precision.autocast():
        fake_ab = state.generator(lightness)
    losses = {"loss_G_L1": l1_loss(fake_ab, ab)}
    if feature_loss is not None:
        with precision.autocast():
            losses["loss_G_feature"] = recipe.lambda_feature * feature_loss(lightness, fake_ab, ab)
    _descend(state, "generator", sum(losses.values()))
    return losses


def _gan_step(
    state: State,
    recipe: Recipe,
    precision: Precision,
    lightness: Tensor,
    ab: Tensor,
    feature_loss: FeatureLoss | None = None,
) -> dict[str, Tensor]:
    gan_loss = GANLoss(recipe.gan_loss)
    with precision.autocast():
        fake_ab = state.generator(lightness)

        logits_fake = state.discriminator(lightness, fake_ab.detach())
        logits_real = state.discriminator(lightness, ab)
    loss_d_fake, loss_d_real = gan_loss(logits_fake, False), gan_loss(logits_real, True)
    loss_d = (loss_d_fake + loss_d_real) / 2
    _descend(state, "discriminator", loss_d)

    state.discriminator.requires_grad_(False)
    with precision.autocast():
        logits = state.discriminator(lightness, fake_ab)
    losses = {
        "loss_G_GAN": gan_loss(logits, True, for_generator=True),
        "loss_G_L1": recipe.lambda_l1 * l1_loss(fake_ab, ab),
    }
    if feature_loss is not None:
        with precision.autocast():
            weight = recipe.lambda_l1 * recipe.lambda_feature
            losses["loss_G_feature"] = weight * feature_loss(lightness, fake_ab, ab)
    loss_g = sum(losses.values())
    _descend(state, "generator", loss_g)
    state.discriminator.requires_grad_(True)
    return losses | {"loss_D_fake": loss_d_fake, "loss_D_real": loss_d_real, "loss_D": loss_d, "loss_G": loss_g}


def _descend(state: State, name: str, loss: Tensor) -> None:
    """One optimizer step of the named network down `loss`, averaged over all processes."""
    optimizer = state.optimizers[name]
    optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()
    average_gradients(state.networks[name].parameters())
    state.scaler.step(optimizer)
    state.scaler.update()


@torch.no_grad()
def _update_average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; over the first steps it forgets its beginning faster."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    for average_value, value in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if value.is_floating_point():
            average_value.lerp_(value, weight)
        else:
            average_value.copy_(value)


def _mean_losses(state: State, names: tuple[str, ...], finite: Tensor) -> dict[str, float]:
    """The running means over the epoch and all processes. Raises UserError when one is not finite.

    `finite` (losses,) is the number of the epoch's steps before which each loss was so in this process.
    """
    values = (average(state.sums) / state.batch).tolist()
    losses = dict(zip(names, values, strict=True))
    if not torch.tensor(values).isfinite().all():
        batch = int(finite.min())
        first = [name for name, steps in zip(names, finite.tolist(), strict=True) if steps == batch]
        rates = ", ".join(
            f"{name} {optimizer.param_groups[0]['lr']:.2g}" for name, optimizer in state.optimizers.items()
        )
        step = min(state.step - state.batch + batch + 1, state.step)
        raise UserError(
            f"{' and '.join(first)} stopped being finite at step {step} (learning rate {rates}); last.pt holds an "
            "earlier, good state: start again with a lower --lr or --precision fp32"
        )
    return losses


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


def _sample_path(run: Path, step: int) -> Path:
    return run / "samples" / f"step_{step:06d}.png"


def _summary_writer(run: Path) -> Any:  # noqa: ANN401
    from torch.utils.tensorboard import SummaryWriter  # an extra

    return SummaryWriter(str(run / "tensorboard"))


def _write_scalars(writer: Any, values: dict[str, float], step: int) -> None:  # noqa: ANN401
    for name, value in values.items():
        writer.add_scalar(name, value, step)
    writer.flush()
