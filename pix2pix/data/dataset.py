"""Training data: splits, the dataset, and its batches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pix2pix.data.cache import PhotoSet, ignore_interrupts, squash
from pix2pix.data.photos import Photo, find_photos, read_photo
from pix2pix.errors import UserError


class ColorizationDataset(Dataset):
    """Photos as uint8 tensors (3, size, size), from the cache or, without one, decoded at each access."""

    def __init__(self, photo_set: PhotoSet, rows: np.ndarray | None = None) -> None:
        self.photo_set = photo_set
        self.rows = np.arange(len(photo_set.photos)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = self.rows[index]
        if self.photo_set.pixels is None:
            pixels = squash(read_photo(self.photo_set.photos[row]), self.photo_set.size)
        else:
            pixels = self.photo_set.pixels[row]
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def batches(
    dataset: ColorizationDataset, indices: list[list[int]], *, workers: int = 0, pin_memory: bool = False
) -> Iterator[Tensor]:
    """The photos of each list of indices as one uint8 tensor (n, 3, size, size).

    A cached set is read in this process; without a cache `workers` processes decode.
    """
    workers = workers if dataset.photo_set.pixels is None else 0
    loader = DataLoader(
        dataset,
        batch_sampler=indices,
        num_workers=workers,
        pin_memory=pin_memory,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_outlive_signals if workers else None,
        generator=torch.Generator(),  # its own, so that the global random state does not depend on restarts
    )
    return iter(loader)


def epoch_order(count: int, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The shuffled batches of one epoch, the same for the same seed; a last, smaller batch is left out."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [order[start : start + batch_size].tolist() for start in range(0, count - batch_size + 1, batch_size)]


def split_names(names: list[str], *, validation: int, seed: int) -> tuple[list[str], list[str]]:
    """Sorted names, permuted by the seed: (training names, `validation` validation names)."""
    names = sorted(names)
    order = np.random.default_rng(seed).permutation(len(names))
    return [names[i] for i in order[validation:]], [names[i] for i in order[:validation]]


def choose_photos(sources: list[Path], names: list[str]) -> list[Photo]:
    """The photos called `names` among those of `sources`, in that order. Raises UserError when one is gone."""
    photos = {photo.name: photo for photo in find_photos(sources)}
    missing = [name for name in names if name not in photos]
    if missing:
        where = ", ".join(map(str, sources))
        raise UserError(f"{len(missing)} of the run's photos are no longer in {where}: {missing[0]} for one")
    return [photos[name] for name in names]


def count_cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outlive_signals(worker: int) -> None:
    """A signal to the whole process group must not take away the batches that the training still saves after."""
    ignore_interrupts()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
