"""A run's photos: which are trained on and which validate, and both opened as datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pix2pix.data.cache import prepare_photos, refuse_broken
from pix2pix.data.coco import download_coco_sample
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import Photo, find_photos
from pix2pix.data.splits import choose_photos, report_split, split_names
from pix2pix.errors import UserError
from pix2pix.runs import Run

CROP_SOURCE = 256  # photos are cached at least this large where crops are taken from them
WATCHED = 256  # validation photos that are scored after every epoch
MOST_VALIDATION = 3000  # of one's own photos, a quarter and at most this many

Split = dict[str, list[str]]


def split_photos(
    data: list[Path] | None, val_data: list[Path] | None, *, seed: int, cache: Path
) -> tuple[list[Path], Split]:
    """The folders and tars of a new run's photos, and their names as {"train": [...], "validation": [...]}.

    Without `data` it is the COCO sample with the report's split, downloaded into `cache`. Without `val_data` a quarter
    of the photos, at most 3,000, is kept for validation. Raises UserError when there are too few.
    """
    if data is None:
        folder = download_coco_sample(cache)
        names = [photo.name for photo in find_photos([folder], cache=cache)]
        train, validation = report_split(names, seed=seed)
        return [folder], {"train": train, "validation": validation}
    photos = find_photos(data, cache=cache)
    names = [photo.name for photo in photos]
    if val_data:
        return data, {"train": names, "validation": validation_names(val_data, photos, seed=seed)}
    if len(names) < 2:
        raise UserError(f"{names[0]} is the only photo; give at least two, one to train on and one to validate")
    count = min(MOST_VALIDATION, max(1, len(names) // 4))
    train, validation = split_names(names, validation=count, seed=seed)
    return data, {"train": train, "validation": validation}


def validation_names(val_data: list[Path], training: list[Photo], *, seed: int) -> list[str]:
    """The names of the photos of `val_data`, shuffled. Raises UserError when one is among the training photos too."""
    photos = find_photos(val_data)
    places = {photo.place for photo in training}
    for photo in photos:
        if photo.place in places:
            raise UserError(f"{photo.name} of --val-data is in --data too; a photo is for training or for validation")
    return split_names([photo.name for photo in photos], validation=len(photos), seed=seed)[1]


def open_data(run: Run, *, cache: Path, workers: int) -> tuple[ColorizationDataset, ColorizationDataset]:
    """The training photos, and those validation photos that are scored after every epoch.

    Raises UserError when photos are gone, too many are broken, or they are less than one batch.
    """
    settings, split = run.settings, run.split
    photos, watched = _choose(run, cache)
    cached_size = max(settings.size, CROP_SOURCE) if settings.recipe.crop else settings.size
    where: dict[str, Any] = {"cache": cache, "workers": workers}
    train_set = prepare_photos(photos, cached_size, label="training photos", **where)
    val_set = prepare_photos(watched, settings.size, label="validation photos", **where)
    refuse_broken(train_set, val_set)
    training, validation = ColorizationDataset(train_set, train_set.colored()), ColorizationDataset(val_set)
    print(
        f"{len(training)} photos to train on, "
        f"{len(train_set.near_gray)} near-gray and {len(train_set.broken) + len(val_set.broken)} broken left out, "
        f"{len(split['validation'])} to validate on, {len(validation)} of them after every epoch"
    )
    batch_size = settings.recipe.batch_size
    if len(training) < batch_size:
        raise UserError(
            f"{len(training)} photos are less than one batch of {batch_size}; give more photos or a smaller "
            "--batch-size"
        )
    return training, validation


def _choose(run: Run, cache: Path) -> tuple[list[Photo], list[Photo]]:
    """The run's training photos, and the validation photos that are scored after every epoch."""
    sources, val_sources = ([Path(path) for path in run.config[name]] for name in ("data", "val_data"))
    train, watched = run.split["train"], run.split["validation"][:WATCHED]
    if val_sources:
        return choose_photos(sources, train, cache=cache), choose_photos(val_sources, watched)
    chosen = choose_photos(sources, train + watched, cache=cache)  # a million photos are listed once
    return chosen[: len(train)], chosen[len(train) :]
