"""What an evaluation's numbers depend on, for people and as a name for scores that may be used again."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

import pix2pix
from pix2pix.data.cache import PhotoSet
from pix2pix.evaluation.intervals import LEVEL, RESAMPLES
from pix2pix.evaluation.models import Model, known_mean_ab
from pix2pix.evaluation.scoring import CHUNK


def describe_protocol(
    args: argparse.Namespace, models: Sequence[Model], photo_set: PhotoSet, source: str, device: torch.device
) -> dict[str, Any]:
    """Everything the numbers depend on, as in results.json; `source` says where the photos are from."""
    libraries = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    return {
        "models": [
            {"name": model.name, "weights": str(model.path), "sha256": model.sha256, "network_size": model.loaded.size}
            for model in models
        ],
        "strength": args.strength,
        "photos": len(photo_set.photos),
        "source": source,
        "photo_size": args.photo_size,
        "resize": "to the square, aspect not kept, Pillow's bicubic",
        "protocol": args.protocol,
        "points": args.points,
        "input": args.input,
        "skin": args.skin,
        "ssim": "scikit-image's definition: 7x7 uniform window, mean over R, G, B of uint8, data range 255",
        "intervals": f"{LEVEL} %, bootstrap over photos, {RESAMPLES} resamples, percentiles",
        "seed": args.seed,
        "device": str(device),
        "versions": {"pix2pix": pix2pix.__version__, "python": platform.python_version(), **libraries},
        "mean_ab": known_mean_ab(models),
    }


def fingerprint(protocol: dict[str, Any], photo_set: PhotoSet, batch: int) -> str:
    """A name for the scores: other weights, photos, settings or libraries give another one."""
    files = [(photo.name, photo.offset, photo.length or photo.path.stat().st_size) for photo in photo_set.photos]
    content = json.dumps([protocol, files, batch, CHUNK])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
