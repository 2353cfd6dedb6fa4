"""train.py as a process of its own, with networks of a tenth of the weights."""

import runpy
from pathlib import Path

from pix2pix.unet import ResNet18Encoder

ResNet18Encoder.widths = (8, 8, 16, 16, 32)
runpy.run_path(str(Path(__file__).parents[1] / "train.py"), run_name="__main__")
