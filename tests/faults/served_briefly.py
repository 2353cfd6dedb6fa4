"""colorize.py, whose web page keeps uploads and results for 20 seconds instead of an hour."""

import runpy
from pathlib import Path

from pix2pix import webpage

webpage.KEPT_SECONDS = 20
runpy.run_path(str(Path(__file__).parents[2] / "colorize.py"), run_name="__main__")
