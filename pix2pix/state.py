"""What a training run consists of: its settings, and everything that changes while it runs."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pix2pix.device import Precision
from pix2pix.discriminator import PatchDiscriminator
from pix2pix.distributed import synchronize_batch_norm
from pix2pix.recipes import Recipe
from pix2pix.unet import UNetGenerator

WARM_UP = 0.2  # of the steps
LOSS_NAMES = {
    "pretrain": ("loss_G_L1", "loss_G_feature"),
    "gan": ("loss_D_fake", "loss_D_real", "loss_D", "loss_G_GAN", "loss_G_L1", "loss_G_feature", "loss_G"),
}


@dataclass(frozen=True)
class Settings:
    """What defines a run's course; it is saved with the run, and a resume takes it from there."""

    stage: str
    recipe: Recipe
    size: int
    seed: int
    log_every: int


def loss_names(settings: Settings) -> tuple[str, ...]:
    """The losses that a step of this run reports, in their order."""
    names = LOSS_NAMES[settings.stage]
    return names if settings.recipe.lambda_feature else tuple(name for name in names if name != "loss_G_feature")


@dataclass
class State:
    """Everything that changes while training. `batch` batches of `epoch` (both from 0) are done."""

    generator: UNetGenerator
    ema: UNetGenerator | None
    discriminator: PatchDiscriminator | None
    optimizers: dict[str, AdamW]
    schedulers: dict[str, LambdaLR]
    scaler: torch.amp.GradScaler
    augmentation: torch.Generator
    sums: Tensor  # of the epoch's losses so far
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    seconds: float = 0.0  # spent on the epoch so far
    networks: dict[str, nn.Module] = field(init=False)

    def __post_init__(self) -> None:
        networks = {"generator": self.generator, "ema": self.ema, "discriminator": self.discriminator}
        self.networks = {name: network for name, network in networks.items() if network is not None}

    @property
    def evaluated(self) -> UNetGenerator:
        """The generator that is scored and saved: the moving average where there is one."""
        return self.ema if self.ema is not None else self.generator

    def state_dict(self) -> dict[str, Any]:
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in self.schedulers.items()},
            "scaler": self.scaler.state_dict(),
            "random": {"augmentation": self.augmentation.get_state(), "torch": torch.get_rng_state()},
            "sums": self.sums.cpu(),
            **{name: getattr(self, name) for name in ("epoch", "batch", "step", "best", "seconds")},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        for group in ("networks", "optimizers", "schedulers"):
            for name, part in getattr(self, group).items():
                part.load_state_dict(saved[group][name])
        if saved["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        self.augmentation.set_state(saved["random"]["augmentation"])
        torch.set_rng_state(saved["random"]["torch"])
        self.sums.copy_(saved["sums"])
        for name in ("epoch", "batch", "step", "best", "seconds"):
            setattr(self, name, saved[name])


def create_state(
    settings: Settings, generator: UNetGenerator, *, steps_per_epoch: int, device: torch.device, precision: Precision
) -> State:
    """The state of a run before its first step; `generator` holds the weights to start from."""
    recipe = settings.recipe
    generator = generator.to(device, memory_format=torch.channels_last).train()
    synchronize_batch_norm(generator)
    rates = {"generator": recipe.learning_rate}
    networks: dict[str, nn.Module] = {"generator": generator}
    if settings.stage == "gan":
        discriminator = PatchDiscriminator(spectral=recipe.spectral_norm)
        networks["discriminator"] = discriminator.to(device, memory_format=torch.channels_last).train()
        synchronize_batch_norm(discriminator)
        rates["discriminator"] = recipe.discriminator_learning_rate
    optimizers = {
        name: AdamW(network.parameters(), rates[name], betas=recipe.betas, weight_decay=recipe.weight_decay)
        for name, network in networks.items()
    }
    total_steps = recipe.epochs * steps_per_epoch
    course = partial(_one_cycle, total=total_steps) if recipe.one_cycle else _constant
    schedulers = {name: LambdaLR(optimizer, course) for name, optimizer in optimizers.items()}
    return State(
        generator=generator,
        ema=copy.deepcopy(generator).eval() if recipe.ema_decay else None,
        discriminator=networks.get("discriminator"),
        optimizers=optimizers,
        schedulers=schedulers,
        scaler=precision.grad_scaler(),
        augmentation=torch.Generator().manual_seed(settings.seed),
        sums=torch.zeros(len(loss_names(settings)), device=device),
    )


def _one_cycle(step: int, *, total: int) -> float:
    """The learning rate's factor: up to 1 by half a cosine over the first fifth, then down to 0 by another."""
    top = max(1, round(WARM_UP * total))
    if step < top:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / top)) / 2
    return (1 + math.cos(math.pi * min((step - top) / max(1, total - top), 1))) / 2


def _constant(step: int) -> float:
    return 1.0
