"""The training photos as a dataset, and its batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pix2pix.data.cache import PhotoSet, squash
from pix2pix.data.photos import read_photo
from pix2pix.threads import map_ahead


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

    Without a cache `workers` threads decode up to two batches ahead. Raises UserError for a photo that has become
    unreadable.
    """
    workers = workers if dataset.photo_set.pixels is None else 0
    ahead = 2 * max(map(len, indices), default=0)
    order = (index for batch in indices for index in batch)
    with closing(map_ahead(dataset.__getitem__, order, workers=workers, ahead=ahead)) as photos:
        for batch in indices:
            stacked = torch.stack(list(islice(photos, len(batch))))
            yield stacked.pin_memory() if pin_memory else stacked


def epoch_order(count: int, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The shuffled batches of one epoch, the same for the same seed; a last, smaller batch is left out."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [order[start : start + batch_size].tolist() for start in range(0, count - batch_size + 1, batch_size)]
