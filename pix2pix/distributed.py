"""Data-parallel training under torchrun: gloo on CPUs, nccl on GPUs; with one process every function is a no-op."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pix2pix.device import choose_device
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


def start_device(name: str, world: World) -> torch.device:
    """The device called `name`; under torchrun, join the other processes, and print in the main one alone."""
    device = choose_device(name)
    if world.size > 1:
        if device == torch.device("cuda"):
            device = choose_device(f"cuda:{world.local_rank}")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(hours=12))  # the others wait while one downloads and decodes
    if not world.is_main:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    return device


@contextmanager
def main_first(world: World) -> Iterator[None]:
    """Run the block in the main process first and in the others when it is through.

    Raises UserError in those that wait when another process has ended.
    """
    if not world.is_main:
        wait_for_all()
    yield
    if world.is_main:
        wait_for_all()


def wait_for_all() -> None:
    """Wait until every process is here. Raises UserError when one has ended."""
    if not dist.is_initialized():
        return
    try:
        dist.barrier()
    except RuntimeError as error:
        raise UserError("another process has ended, which has said why or was killed") from error


def from_main(value: Any) -> Any:  # noqa: ANN401
    """The main process's `value` in every process. Raises UserError when another process has ended."""
    values = [value]
    if dist.is_initialized():
        wait_for_all()
        dist.broadcast_object_list(values)
    return values[0]


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


def parallel(network: nn.Module) -> nn.Module:
    """The network, wrapped by torch's DistributedDataParallel where there are several processes.

    Its backward passes average the gradients. Buffers, which are batch normalization's running statistics, stay each
    process's own: on CPUs they are those of its part of the batch.
    """
    if not dist.is_initialized():
        return network
    device = next(network.parameters()).device
    return DistributedDataParallel(
        network, device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
    )


def synchronize_batch_norm(network: nn.Module) -> None:
    """Let batch normalization use the statistics of all processes; on GPUs alone, since torch has it for no other."""
    if dist.is_initialized() and next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)


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
