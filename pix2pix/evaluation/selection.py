"""Which photos an evaluation scores on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pix2pix.data.coco import download_coco_sample
from pix2pix.data.photos import Photo, find_photos
from pix2pix.data.splits import choose_photos, report_split
from pix2pix.errors import UserError
from pix2pix.evaluation.models import Model
from pix2pix.runs import read_config, read_split


def choose_validation_photos(args: argparse.Namespace, models: Sequence[Model]) -> tuple[list[Photo], str]:
    """The photos and where they are from, in words: --data, else the first model's run's, else the COCO sample's.

    Raises UserError when they are not there, or another model's run was trained on one of the first one's.
    """
    run = models[0].path.parent
    if args.data is not None:
        photos, source = find_photos(args.data), ", ".join(map(str, args.data))
    elif (run / "config.json").is_file():
        config = read_config(run)
        sources = [Path(path) for path in config["val_data"] or config["data"]]
        photos, source = choose_photos(sources, read_split(run)["validation"]), f"{run}'s validation split"
        refuse_trained_on(photos, models[1:])
    else:
        folder = download_coco_sample(args.cache)
        names = report_split([photo.name for photo in find_photos([folder])])[1]
        photos, source = choose_photos([folder], names), "the COCO sample's validation split"
    if args.part is None:
        return photos, source
    first, last = args.part
    if last > len(photos):
        raise UserError(f"--part {first}:{last} is beyond the {len(photos)} photos of {source}")
    photos = sorted(photos, key=lambda photo: photo.name)
    order = np.random.default_rng(args.seed).permutation(len(photos))[first:last]
    return [photos[index] for index in order], f"{source}, part {first}:{last}"


def refuse_trained_on(photos: Sequence[Photo], models: Sequence[Model]) -> None:
    """Raises UserError when one of the photos was another run's to train on."""
    places = {photo.place for photo in photos}
    for model in models:
        run = model.path.parent
        if not (run / "config.json").is_file():
            continue
        trained = choose_photos([Path(path) for path in read_config(run)["data"]], read_split(run)["train"])
        seen = sum(photo.place in places for photo in trained)
        if seen:
            raise UserError(f"{run} was trained on {seen} of these photos; compare on others: --data FOLDER")
