"""human.html: pairs of one photo, real and colorized, for people to say which is real; it needs no network.

The fooling rate is the share of pairs whose colorized photo was taken for the real one (0.5: nobody could tell), with
its 95 % interval after Wilson 1927. The page counts for itself and sends nothing anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from pix2pix.data.cache import PhotoSet
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.errors import UserError
from pix2pix.evaluation.markup import escape, fill, jpeg_uri, read_template
from pix2pix.evaluation.methods import Batch, Method
from pix2pix.files import replacing

PAIRS = 40  # at most


@torch.inference_mode()
def write_fooling_page(path: Path, photo_set: PhotoSet, method: Method, device: torch.device, *, seed: int) -> int:
    """Write the page with up to 40 photos, their order and the real one's side by the seed; returns how many.

    Near-gray photos are left out; raises UserError when there are no others.
    """
    if len(photo_set.near_gray) == len(photo_set.photos):
        raise UserError("all of the photos are near-gray: nobody could tell them from colorized ones")
    dataset = ColorizationDataset(photo_set, photo_set.colored())
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(dataset))[:PAIRS].tolist()
    pairs = []
    for number, side in zip(chosen, generator.integers(2, size=len(chosen)).tolist(), strict=True):
        real = dataset[number][None].to(device)
        colorized = method.colorize(Batch.of(real, [number]))
        both = (real, colorized) if side == 0 else (colorized, real)
        pairs.append({"photos": [jpeg_uri(image[0], 384, quality=92) for image in both], "real": side})
    page = fill(
        "fooling.html",
        style=read_template("fooling.css"),
        script=read_template("fooling.js"),
        pairs=json.dumps(pairs),
        name=escape(method.name),
        seed=seed,
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "backslashreplace"))
    return len(pairs)
