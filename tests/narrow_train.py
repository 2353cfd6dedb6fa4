"""train.py as a process of its own, with networks of a tenth of the weights."""

import runpy
from pathlib import Path

from narrow_widths import WIDTHS

from pix2pix.unet import ResNet18Encoder

ResNet18Encoder.widths = WIDTHS
runpy.run_path(str(Path(__file__).parents[1] / "train.py"), run_name="__main__")
