"""The cache's folders: each is written whole or not at all, also by several processes at once or by killed ones."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pix2pix.errors import UserError
from pix2pix.locks import try_lock

HALF_BUILT = re.compile(r"\.(\d+px-[0-9a-f]{16}|coco_sample)-\w{8}")
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
ELSEWHERE = "name a folder of yours with --cache FOLDER"


def resolve_cache(cache: Path) -> Path:
    """`cache` as an absolute path, its "~" resolved. Raises UserError, naming --cache, when there is no home folder."""
    try:
        return cache.expanduser().absolute()
    except RuntimeError:
        raise UserError(f"there is no home folder to keep decoded photos in ({cache}); {ELSEWHERE}") from None


def cache_folder(cache: Path) -> Path:
    """`resolve_cache`, the folder made where it is missing. Raises UserError, naming --cache, when it cannot be."""
    cache = resolve_cache(cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in (*NOT_ALLOWED, errno.EEXIST, errno.ENOTDIR):
            raise
        raise UserError(f"cannot make the folder {cache} ({error.strerror}); {ELSEWHERE}") from None
    return cache


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A new, empty folder, which takes the place of `folder` when the block ends without an error.

    What another process has put at `folder` in the meantime stays. What killed processes left half-built in the parent
    folder is removed, unless another process is building there. Raises UserError, naming --cache, when nothing may be
    written in the parent folder.
    """
    with _lock(folder.parent):
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        except OSError as error:
            if error.errno not in NOT_ALLOWED:
                raise
            raise UserError(f"cannot write to {folder.parent} ({error.strerror}); {ELSEWHERE}") from None
        found = _identity(folder)
        try:
            yield temporary
            if found is not None and _identity(folder) == found:
                shutil.rmtree(folder, ignore_errors=True)
            try:
                temporary.rename(folder)
            except OSError:
                if _identity(folder) in (None, found):
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _lock(cache: Path) -> Iterator[None]:
    """Share the cache's lock with all that build in it; who gets it alone first removes what is left half-built."""
    if os.name == "nt":  # where a folder cannot be opened, and there are no such locks
        yield
        return
    handle = os.open(cache, os.O_RDONLY)
    try:
        if try_lock(handle):
            for path in cache.iterdir():
                if HALF_BUILT.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
        try_lock(handle, shared=True)
        yield
    finally:
        os.close(handle)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that took its place; None where there is none."""
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns
