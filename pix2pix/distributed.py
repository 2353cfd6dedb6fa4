"""Data-parallel training under torchrun: gloo on CPUs, nccl on GPUs; with one process every function is a no-op."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pix2pix.errors import UserError


@dataclass(frozen=True)
class World:
    """This process among `size`; `rank` 0 alone writes files and prints."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def join_world() -> World:
    """What torchrun's environment says; without torchrun, a world of one."""
    environment = os.environ
    if "WORLD_SIZE" not in environment:
        return World()
    return World(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment["LOCAL_RANK"]))


def start_process_group(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(hours=12))  # the others wait while one downloads and decodes


@contextmanager
def main_first(world: World) -> Iterator[None]:
    """Run the block in the main process first and in the others when it is through.

    Raises UserError in those that wait when another process has ended.
    """
    if world.size > 1 and not world.is_main:
        _wait_for_all()
    yield
    if world.size > 1 and world.is_main:
        _wait_for_all()


def _wait_for_all() -> None:
    try:
        dist.barrier()
    except RuntimeError as error:
        raise UserError("another process of the training has ended, which has said why or was killed") from error


@contextmanager
def lost_processes_named(run: Path) -> Iterator[None]:
    """Raises UserError where a collective operation inside the block fails because another process has gone."""
    try:
        yield
    except RuntimeError as error:
        if not dist.is_initialized() or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise UserError(
            f"another process of the training has ended; go on with: torchrun ... train.py --resume {run}"
        ) from error


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over all processes."""
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for sent in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
        sent.wait()
    for gradient in gradients:
        gradient /= dist.get_world_size()


def average(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    if not dist.is_initialized():
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values / dist.get_world_size()


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is set in any process."""
    if not dist.is_initialized():
        return flag
    votes = torch.tensor(float(flag), device=device)
    dist.all_reduce(votes)
    return votes.item() > 0


class _NormalizeOverAll(torch.autograd.Function):
    """Batch normalisation by the mean and variance of the batches of all processes, with PyTorch's own kernels.

    They know the gradient of fixed statistics. What is missing, that the statistics move with every x, is
    weight / std * (mean of g + x^ * mean of g x^), with the means over all processes (Ioffe and Szegedy 2015).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        _, mean, scale = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        moments = torch.stack((mean, scale**-2 - eps + mean.square()))
        dist.all_reduce(moments)
        mean, mean_square = moments / dist.get_world_size()
        variance = (mean_square - mean.square()).clamp(min=0)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0], mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, mean, variance = ctx.saved_tensors
        scale = torch.rsqrt(variance + ctx.eps)
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, mean, scale, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack((of_weight, of_bias))
        dist.all_reduce(sums)
        mean_gx, mean_g = sums / (dist.get_world_size() * x.numel() // x.shape[1])
        slope = weight * scale.square() * mean_gx
        offset = weight * scale * mean_g - slope * mean
        of_x = of_x - offset[:, None, None] - x * slope[:, None, None]
        return of_x.to(x.dtype), of_weight, of_bias, None


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with the statistics of the batches of all processes, for CPUs: nn.SyncBatchNorm needs GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        normalized, mean, variance = _NormalizeOverAll.apply(x, self.weight, self.bias, self.eps)
        count = dist.get_world_size() * x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        return normalized


def synchronize_batch_norm(network: nn.Module) -> None:
    """Let a network's BatchNorm2d layers share their statistics with all processes; their names and values stay."""
    if not dist.is_initialized():
        return
    if next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm2d
