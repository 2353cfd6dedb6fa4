"""Everything that changes while a network trains: networks, optimizers, counters and the random draws."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from pix2pix.device import Precision
from pix2pix.discriminator import PatchDiscriminator
from pix2pix.distributed import average, parallel, synchronize_batch_norm
from pix2pix.errors import UserError
from pix2pix.losses import FeatureLoss, GANLoss
from pix2pix.recipes import Recipe, Settings
from pix2pix.unet import UNetGenerator

WARM_UP = 0.2  # of the steps
COUNTERS = ("epoch", "batch", "step", "best", "seconds")


@dataclass
class State:
    """A run while it trains. `batch` batches of epoch `epoch` (both counted from 0) are done."""

    settings: Settings
    generator: UNetGenerator
    ema: UNetGenerator | None
    discriminator: PatchDiscriminator | None
    optimizers: dict[str, AdamW]
    schedulers: dict[str, LRScheduler]
    scaler: torch.amp.GradScaler
    precision: Precision
    gan_loss: GANLoss
    feature_loss: FeatureLoss | None
    random: torch.Generator  # of crops, wear and hints
    sums: dict[str, Tensor] = field(default_factory=dict)  # of the epoch's losses so far
    finite: dict[str, Tensor] = field(default_factory=dict)  # for how many of these steps each sum was finite
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    seconds: float = 0.0  # spent on the epoch so far
    clock: float = 0.0  # when the last step ended
    networks: dict[str, nn.Module] = field(init=False)
    trained: dict[str, nn.Module] = field(init=False)  # the networks to call in a step; DDP's under torchrun

    def __post_init__(self) -> None:
        networks = {"generator": self.generator, "ema": self.ema, "discriminator": self.discriminator}
        self.networks = {name: network for name, network in networks.items() if network is not None}
        self.trained = {name: parallel(self.networks[name]) for name in self.optimizers}

    @property
    def recipe(self) -> Recipe:
        return self.settings.recipe

    @property
    def evaluated(self) -> UNetGenerator:
        """The generator that is scored and saved: the moving average where there is one."""
        return self.ema if self.ema is not None else self.generator

    def descend(self, name: str, loss: Tensor) -> None:
        """One optimizer step of the network `name` down `loss`, a scalar."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()

    def advance(self, losses: dict[str, Tensor]) -> None:
        """After a step: sum the losses up, move the average, the learning rates and the counters on."""
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + loss.detach()
            self.finite[name] = self.finite.get(name, self.batch) + self.sums[name].isfinite()
        if self.ema is not None:
            update_average(self.ema, self.generator, self.recipe.ema_decay, self.step)
        for scheduler in self.schedulers.values():
            scheduler.step()
        self.batch += 1
        self.step += 1
        now = time.perf_counter()
        self.seconds += now - self.clock
        self.clock = now

    def mean_losses(self) -> dict[str, float]:
        """The epoch's mean losses so far, over all processes. Raises UserError when one is not finite."""
        means = {name: average(total / self.batch).item() for name, total in self.sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise UserError(self._describe_not_finite(means))
        return means

    def restart_clock(self) -> None:
        """Leave the time until now, for instance spent on scores, out of `seconds`."""
        self.clock = time.perf_counter()

    def start_epoch(self) -> None:
        """Move on to the next epoch."""
        self.epoch, self.batch, self.seconds = self.epoch + 1, 0, 0.0
        self.sums, self.finite = {}, {}

    def learning_rates(self) -> dict[str, float]:
        return {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    def _describe_not_finite(self, means: dict[str, float]) -> str:
        steps = {name: int(self.finite[name]) for name, mean in means.items() if not math.isfinite(mean)}
        first = min(steps.values())  # one that became so made the others so too
        names = " and ".join(name for name, count in steps.items() if count == first)
        step = min(self.step - self.batch + first + 1, self.step)
        rates = ", ".join(f"{name} {rate:.2g}" for name, rate in self.learning_rates().items())
        return (
            f"{names} stopped being finite at step {step} (learning rate {rates}); last.pt holds an earlier, good "
            "state: start again with a lower --lr or --precision fp32"
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            **{group: _states_of(getattr(self, group)) for group in ("networks", "optimizers", "schedulers")},
            "scaler": self.scaler.state_dict(),
            "random": {"augmentation": self.random.get_state(), "torch": torch.get_rng_state()},
            "sums": {name: total.item() for name, total in self.sums.items()},
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Raises KeyError, RuntimeError, ValueError or TypeError when `saved` is not of a run with these settings."""
        for group in ("networks", "optimizers", "schedulers"):
            for name, part in getattr(self, group).items():
                part.load_state_dict(saved[group][name])
        if saved["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        self.random.set_state(saved["random"]["augmentation"])
        torch.set_rng_state(saved["random"]["torch"])
        device = next(self.generator.parameters()).device
        self.sums = {name: torch.tensor(total, device=device) for name, total in saved["sums"].items()}
        for name in COUNTERS:
            setattr(self, name, saved[name])


def create_state(
    settings: Settings,
    generator: UNetGenerator,
    *,
    steps_per_epoch: int,
    device: torch.device,
    precision: Precision,
    feature_loss: FeatureLoss | None = None,
) -> State:
    """The state of a run before its first step; `generator` holds the weights to start from."""
    recipe = settings.recipe
    discriminator = None
    rates = {"generator": recipe.learning_rate, "discriminator": recipe.discriminator_learning_rate}
    if settings.stage == "gan":
        discriminator = PatchDiscriminator(spectral=recipe.spectral_norm)
    networks: dict[str, nn.Module] = {"generator": generator}
    if discriminator is not None:
        networks["discriminator"] = discriminator
    for network in networks.values():
        network.to(device).to(memory_format=torch.channels_last).train()
        synchronize_batch_norm(network)
    optimizers = {
        name: AdamW(network.parameters(), rates[name], betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)
        for name, network in networks.items()
    }
    total_steps = recipe.epochs * steps_per_epoch
    schedulers: dict[str, LRScheduler] = {
        name: OneCycleLR(optimizer, rates[name], total_steps, pct_start=WARM_UP, cycle_momentum=False)
        for name, optimizer in optimizers.items()
        if recipe.one_cycle
    }
    return State(
        settings=settings,
        generator=generator,
        ema=copy.deepcopy(generator).eval().requires_grad_(False) if recipe.ema_decay else None,
        discriminator=discriminator,
        optimizers=optimizers,
        schedulers=schedulers,
        scaler=precision.grad_scaler(),
        precision=precision,
        gan_loss=GANLoss(recipe.gan_loss),
        feature_loss=feature_loss,
        random=torch.Generator().manual_seed(settings.seed),
    )


@torch.no_grad()
def update_average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move every value of `ema` toward the network's; over the first steps it forgets its beginning faster."""
    pairs = list(zip(ema.state_dict().values(), network.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    averages, values = (list(part) for part in zip(*floats, strict=True))
    torch._foreach_lerp_(averages, values, 1 - min(decay, (1 + step) / (10 + step)))
    for counter, value in pairs:
        if not counter.is_floating_point():
            counter.copy_(value)


def _states_of(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.state_dict() for name, part in parts.items()}
