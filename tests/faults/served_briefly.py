"""colorize.py, whose web page keeps uploads and results for a minute instead of an hour.

At SIGUSR1 it gives the system back what memory its allocator holds in reserve, so that what is in use can be measured.
"""

import ctypes
import runpy
import signal
from pathlib import Path

from pix2pix.web import page as webpage

webpage.KEPT_SECONDS = 60
signal.signal(signal.SIGUSR1, lambda *_: ctypes.CDLL("libc.so.6").malloc_trim(0))
runpy.run_path(str(Path(__file__).parents[2] / "colorize.py"), run_name="__main__")
