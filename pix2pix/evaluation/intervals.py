"""Means over photos with their 95 % bootstrap intervals (Efron 1979), the percentile method."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RESAMPLES = 2000
AT_ONCE = 100  # resamples, which bounds the memory
LEVEL = 95

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A mean over photos and the ends of its 95 % interval; all NaN where no photo has a value."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval, then one of a difference, leaves 0 out."""
        return self.low > 0 or self.high < 0

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def bootstrap(columns: Mapping[Key, np.ndarray], *, seed: int) -> dict[Key, Interval]:
    """The mean of each column (N,) over its finite values and the interval of it.

    The photos are drawn anew, with replacement, 2,000 times, the same photos for every column: differences between
    two rows are to be taken photo by photo (paired) and given as a column of their own.
    """
    values = np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], axis=1)
    known = np.isfinite(values)
    values = np.where(known, values, 0.0)
    count = len(values)
    generator = np.random.default_rng(seed)
    blocks = []
    with np.errstate(invalid="ignore"):  # 0 / 0, where a resample has no photo with a value
        for _ in range(RESAMPLES // AT_ONCE):
            drawn = generator.integers(count, size=(AT_ONCE, count)) + count * np.arange(AT_ONCE)[:, None]
            times = np.bincount(drawn.ravel(), minlength=AT_ONCE * count).reshape(AT_ONCE, count).astype(np.float64)
            blocks.append((times @ values) / (times @ known))
        means = values.sum(axis=0) / known.sum(axis=0)
    resampled = np.concatenate(blocks)
    found = {}
    for key, mean, column in zip(columns, means, resampled.T, strict=True):
        column = column[np.isfinite(column)]
        tail = (100 - LEVEL) / 2
        low, high = np.percentile(column, [tail, 100 - tail]) if len(column) else (np.nan, np.nan)
        found[key] = Interval(float(mean), float(low), float(high))
    return found
