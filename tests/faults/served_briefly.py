"""colorize.py, whose web page keeps uploads and results for a minute instead of an hour."""

import runpy
from pathlib import Path

from pix2pix import webpage

webpage.KEPT_SECONDS = 60
runpy.run_path(str(Path(__file__).parents[2] / "colorize.py"), run_name="__main__")
