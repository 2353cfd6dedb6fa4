"""Locks that end with their process, however it ends, and what killed processes left half-written.

They are flock's. Where the system has none (Windows, some network disks) nothing is locked, and nothing removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pix2pix.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

HALF_WRITTEN = re.compile(r"\..+-\w{8}\.(pt|png|jsonl?)")  # the names that `replacing` gives a run's files


@contextmanager
def trained_alone(run: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained. Raises UserError when another process does so."""
    with (run / "config.json").open("r+") as file:
        free = try_lock(file.fileno())
        if free is False:
            raise UserError(f"{run} is being trained by another process: wait until it ends, or stop it first")
        if free:
            for folder in (run, run / "samples"):
                for path in folder.glob(".*"):
                    if HALF_WRITTEN.fullmatch(path.name):
                        path.unlink()
        yield


def try_lock(file: int, *, shared: bool = False) -> bool | None:
    """Lock an open file or folder until it is closed, alone or, after waiting, with others: True, or False when
    another has locked it, or None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the disk knows no locks
        return None
    return True
