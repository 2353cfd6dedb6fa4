"""Colorize black-and-white photos: a ResNet18 U-Net generator and a PatchGAN in plain PyTorch.

from pix2pix import Colorizer, Point
Colorizer().colorize(Image.open("photo.jpg"), points=[Point(412, 230, "#c0392b")]).save("colorized.jpg")
"""

import os
from typing import Any

# Apple's GPUs lack a few operations (antialiased resizing in older PyTorch); these then run on the CPU. PyTorch reads
# this when it is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "Colorizer":  # imported when it is asked for, since it imports torch
        from pix2pix.inference import Colorizer

        return Colorizer
    if name == "Point":
        from pix2pix.hints import Point

        return Point
    raise AttributeError(f"module 'pix2pix' has no attribute {name!r}")
