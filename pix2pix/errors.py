"""Errors that a user reads: one line saying what is wrong with which file and what to do."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable

DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
MEMORY_PHRASES = (
    "out of memory", "not enough memory", "insufficient memory", "can't allocate memory", "cannot allocate memory",
    "could not allocate memory", "unable to allocate memory", "bad_alloc", "alloc_failed",
)  # fmt: skip


class UserError(Exception):
    """A mistake the user can mend; its text is printed as one line, without a traceback."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Line breaks, which a file's name may have, written as in Python."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python, the system, Pillow, a C++ library or torch says that memory ran out.

    A full /dev/shm, over which processes share tensors, is another matter, though its messages speak of memory too.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, not imported here
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return "shared memory" not in text and any(phrase in text for phrase in MEMORY_PHRASES)


def run_script(main: Callable[[], int | None]) -> None:
    """Run an entry script's `main` and exit with its code.

    `UserError` and what the operating system refuses (a full disk, memory, a file where a folder should be) become one
    `error: ...` line on stderr and exit code 1. Ctrl-C and SIGTERM outside the training loop end the program with
    the code a shell expects, temporary files removed.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        print("error: this needs more memory than there is; close other programs", file=sys.stderr)
        code = 1
    except OSError as error:
        if error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        hint = "; free some space and run the same command again" if error.errno in DISK_FULL else ""
        print(f"error: {error.strerror}{where}{hint}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 128 + signal.SIGINT
    finally:
        if before is not None:  # None: set by another language, and cannot be set again
            signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
