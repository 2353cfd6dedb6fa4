"""Locks that end with their process, however it ends. They are flock's; Windows and some network disks have none."""

from __future__ import annotations

from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


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
