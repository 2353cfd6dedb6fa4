"""Memory that is taken again and again is kept by the process, instead of being given back to the system each time."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's mallopt


def keep_freed_memory() -> None:
    """Let malloc keep what PyTorch frees on the CPU; what the process has taken at most stays taken until it ends.

    Every training step takes and frees the same gigabytes. By default glibc hands blocks of more than 32 MB back to the
    system, which then has to clear each of their pages anew: a third to a half of a step at 256 px. Elsewhere than on
    Linux with glibc nothing changes.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)
