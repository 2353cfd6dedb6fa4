"""Which photos are for training and which for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.data.photos import Photo, find_photos
from pix2pix.errors import UserError

REPORT_PHOTOS = 12_000
REPORT_TRAIN = 9_000


def split_names(names: list[str], *, validation: int, seed: int) -> tuple[list[str], list[str]]:
    """Sorted names, permuted by the seed: (training names, `validation` validation names)."""
    names = sorted(names)
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    return [names[i] for i in order[validation:]], [names[i] for i in order[:validation]]


def report_split(names: list[str], *, seed: int = 98) -> tuple[list[str], list[str]]:
    """The report's draw: 9,000 training and 3,000 validation names out of `names`, the distinct names of all photos.

    The numbers are those of `np.random.seed(98)`, `np.random.choice` of 12,000 and `np.random.permutation(12000)`.
    The report drew from its file system's own order, so its very photos cannot be known; here the names are sorted
    first, so that every machine draws the same ones. Raises UserError for fewer than 12,000 names.
    """
    if len(names) < REPORT_PHOTOS:
        raise UserError(
            f"the report's split needs {REPORT_PHOTOS:,} photos, here are {len(names):,}; give your own photos with "
            "--data FOLDER"
        )
    ordered, random = sorted(names), np.random.RandomState(seed)
    chosen = random.choice(len(ordered), REPORT_PHOTOS, replace=False)
    drawn = [ordered[index] for index in chosen[random.permutation(REPORT_PHOTOS)]]
    return drawn[:REPORT_TRAIN], drawn[REPORT_TRAIN:]


def choose_photos(sources: list[Path], names: list[str], *, cache: Path | None = None) -> list[Photo]:
    """The photos called `names` among those of `sources`, in that order. Raises UserError when one is gone.

    `cache` is `find_photos`'.
    """
    photos = {photo.name: photo for photo in find_photos(sources, cache=cache)}
    try:
        return [photos[name] for name in names]
    except KeyError:
        missing = [name for name in names if name not in photos]
        where = ", ".join(map(str, sources))
        raise UserError(f"{len(missing)} of the run's photos are no longer in {where}: {missing[0]} for one") from None
