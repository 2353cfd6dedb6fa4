"""Errors that a user reads: one line saying what is wrong with which file and what to do."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class UserError(Exception):
    """A mistake the user can mend; its text is printed as it is, without a traceback."""


def run_script(main: Callable[[], int | None]) -> None:
    """Run an entry script's `main` and exit with its code.

    `UserError` and a disk that is full or not writable become one `error: ...` line on stderr and exit code 1;
    Ctrl-C outside the training loop becomes exit code 130.
    """
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except OSError as error:
        if error.errno not in (*DISK_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EIO):
            raise
        where = f" ({error.filename})" if error.filename else ""
        hint = "; free some space and run the same command again" if error.errno in DISK_FULL else ""
        print(f"error: {error.strerror}{where}{hint}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)
