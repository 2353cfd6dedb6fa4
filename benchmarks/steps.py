"""Training steps outside `pix2pix.training.train`, made of its own functions, with the time of each of their parts."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measure import synchronize
from torch import Tensor, nn

from pix2pix.data.cache import prepare_photos
from pix2pix.data.dataset import ColorizationDataset, batches, epoch_order
from pix2pix.data.photos import find_photos
from pix2pix.device import choose_precision
from pix2pix.errors import UserError
from pix2pix.losses import FeatureLoss
from pix2pix.recipes import RECIPES, Settings
from pix2pix.state import create_state
from pix2pix.threads import count_cores
from pix2pix.training import Batch, gan_step, prepare_batch, pretrain_step
from pix2pix.unet import GeneratorConfig, ResNet18Encoder, UNetGenerator


def open_photos(folder: Path, size: int, cache: Path) -> ColorizationDataset:
    """All photos of a folder, decoded into `cache`."""
    return ColorizationDataset(prepare_photos(find_photos([folder]), size, cache=cache, workers=count_cores()))


class TrainingSteps:
    """`steps()` makes one training step after another on a dataset, as `train` does between two log lines.

    The feature loss, where the recipe has one, uses a random encoder, and so does the generator: this is about time.
    """

    def __init__(
        self,
        stage: str,
        recipe: str,
        size: int,
        dataset: ColorizationDataset,
        device: torch.device,
        *,
        batch_size: int | None = None,
        compiled: bool = False,
    ) -> None:
        self.recipe = RECIPES[recipe][stage]
        if batch_size is not None:
            self.recipe = replace(self.recipe, batch_size=batch_size)
        if len(dataset) < self.recipe.batch_size:
            raise UserError(f"{len(dataset)} photos are less than a batch of {self.recipe.batch_size}; give more")
        self.settings = Settings(stage, self.recipe, size, seed=0, log_every=10**9)
        self.device, self.dataset = device, dataset
        feature_loss = None
        if self.recipe.lambda_feature:
            encoder = ResNet18Encoder()
            encoder.init_weights()
            feature_loss = FeatureLoss(encoder).to(device).to(memory_format=torch.channels_last)
        generator = UNetGenerator(GeneratorConfig(hints=self.recipe.hints > 0))
        generator.init_weights()
        self.state = create_state(
            self.settings,
            generator,
            steps_per_epoch=10**6,
            device=device,
            precision=choose_precision(device),
            feature_loss=feature_loss,
        )
        if compiled:
            for network in (self.state.generator, self.state.discriminator, feature_loss):
                if network is not None:
                    network.compile()
        self._batches = self._endless()

    def _endless(self) -> Iterator[Tensor]:
        epoch = 0
        while True:
            order = epoch_order(len(self.dataset), self.recipe.batch_size, seed=0, epoch=epoch)
            yield from batches(self.dataset, order, pin_memory=self.device.type == "cuda")
            epoch += 1

    def step(self, part: Callable[[str], Any] = lambda name: nullcontext()) -> Batch:
        """One whole step, with `part(name)` entered around each of its parts. Returns its batch."""
        with part("read"):
            photos = next(self._batches).to(self.device, non_blocking=True)
        with part("augmentation, Lab, wear, hints"):
            batch = prepare_batch(photos, self.settings, self.state.random)
        with part("step"):
            losses = (gan_step if self.settings.stage == "gan" else pretrain_step)(self.state, batch)
        with part("moving average, sums"):
            self.state.advance(losses)
        return batch


class Parts:
    """The seconds of each part of a step; `parts("Lab")` is a context, `watch` looks inside the networks' step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._starts: dict[str, float] = {}

    def start(self, name: str) -> None:
        synchronize(self.device)
        self._starts[name] = time.perf_counter()

    def stop(self, name: str) -> None:
        synchronize(self.device)
        self.seconds[name] += time.perf_counter() - self._starts.pop(name)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.start(name)
        yield
        self.stop(name)

    @contextmanager
    def watch(self, steps: TrainingSteps) -> Iterator[None]:
        """Inside the block: time the networks' forward and backward passes and the optimizers, too."""
        state, handles = steps.state, []
        networks: dict[str, nn.Module] = {"G forward": state.generator}
        if state.discriminator is not None:
            networks["D forward"] = state.discriminator
        if state.feature_loss is not None:
            networks["feature loss forward"] = state.feature_loss
        for name, network in networks.items():
            handles.append(network.register_forward_pre_hook(lambda *_, name=name: self.start(name)))
            handles.append(network.register_forward_hook(lambda *_, name=name: self.stop(name)))
        for optimizer in state.optimizers.values():
            handles.append(optimizer.register_step_pre_hook(lambda *_: self.start("optimizer")))
            handles.append(optimizer.register_step_post_hook(lambda *_: self.stop("optimizer")))
        backward = Tensor.backward

        def timed_backward(loss: Tensor, *args: object, **options: object) -> None:
            of_d = state.discriminator is not None and all(p.requires_grad for p in state.discriminator.parameters())
            with self("D backward" if of_d else "G backward"):
                backward(loss, *args, **options)

        Tensor.backward = timed_backward
        try:
            yield
        finally:
            Tensor.backward = backward
            for handle in handles:
                handle.remove()
