"""The COCO sample of the report: download and unpacking.

The archive is fast.ai's `coco_sample.tgz` (3.2 GB), a subset of COCO 2017's photos (https://cocodataset.org).
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib import request
from urllib.error import HTTPError

from tqdm import tqdm

from pix2pix.data.building import building, cache_folder
from pix2pix.errors import UserError

COCO_SAMPLE_URL = "https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz"
COCO_SAMPLE_BYTES = 3_245_877_008
COCO_SAMPLE_MD5 = "006cd55d633d94b36ecaf661467830ec"
PHOTO_FOLDER = "train_sample"
COCO_SUFFIXES = (".jpg", ".jpeg", ".png")

TIMEOUT_S = 30.0
TRIES = 5
RETRY_WAIT_S = 2.0
CHUNK = 1 << 20
OWN_PHOTOS = "give your own photos with --data FOLDER"


def download_coco_sample(
    cache: Path, *, url: str = COCO_SAMPLE_URL, size: int = COCO_SAMPLE_BYTES, md5: str = COCO_SAMPLE_MD5
) -> Path:
    """The folder of photos `cache/coco_sample/.../train_sample`, downloaded (`size` bytes) unless it is there already.

    A download that broke off is continued by the next call. Calls at the same time, also from several processes, get
    the same folder. Raises UserError when there is no network or no space, or the archive is not the expected one.
    """
    cache = cache_folder(cache)
    target, part = cache / "coco_sample", cache / "coco_sample.tgz.part"
    taken = target.exists()  # asked first: another process may put the folder there at any moment
    if photos := _photo_folder(target):
        return photos
    if taken:
        raise UserError(f"{target} has no folder {PHOTO_FOLDER}; move it away and run again, or {OWN_PHOTOS}")
    try:
        _check_space(part, size)
        _download(part, url, size)
        _check_md5(part, md5)
        _unpack(part, target)
    except OSError:
        if not _photo_folder(target):  # else another process finished first and took the archive away
            raise
    with contextlib.suppress(PermissionError):  # Windows, while another process reads it: that one removes it
        part.unlink(missing_ok=True)
    return _photo_folder(target) or target


def _photo_folder(target: Path) -> Path | None:
    return next((path for path in sorted(target.rglob(PHOTO_FOLDER)) if path.is_dir()), None)


def _check_space(part: Path, size: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    needed, free = size + max(size - have, 0), shutil.disk_usage(part.parent).free
    if free < needed:
        text = f"the COCO sample needs {needed / 1e9:.1f} GB in {part.parent}, {free / 1e9:.1f} GB are free"
        raise UserError(f"{text}; make room and run again, or {OWN_PHOTOS}")


def _download(part: Path, url: str, size: int) -> None:
    """Fill `part` up to `size` bytes by requests for what is missing; MD5 tells later whether they are the right ones.

    Every byte is written at its own place and nothing is appended, so that two processes may write the same file.
    """
    part.touch()
    tries = 0
    with part.open("r+b") as file, tqdm(desc="COCO sample", total=size, unit="B", unit_scale=True) as bar:
        if file.seek(0, 2) > size:
            file.truncate(0)
        while (have := file.seek(0, 2)) < size:
            tries += 1
            try:
                for position, chunk in _receive(url, have, size):
                    file.seek(position)
                    file.write(chunk)
                    bar.update(position + len(chunk) - bar.n)
            except _NetworkError as error:
                reached = file.seek(0, 2)
                if tries == TRIES or reached == have:
                    raise UserError(_broken_off(url, reached, size, error)) from error
                time.sleep(RETRY_WAIT_S)


def _broken_off(url: str, have: int, size: int, reason: Exception) -> str:
    if not have:
        return f"cannot download the COCO sample from {url} ({reason}); {OWN_PHOTOS}"
    return (
        f"the download of the COCO sample from {url} broke off after {have:,} of {size:,} bytes ({reason}); run the "
        f"same command again to continue, or {OWN_PHOTOS}"
    )


class _NetworkError(Exception):
    """Why a connection failed or broke off, in one line."""


def _receive(url: str, have: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Positions and bytes of the file from `have` on, or from 0 where the server can only send all of it.

    Raises _NetworkError, and UserError for a file of another size.
    """
    wanted = request.Request(url, headers={"Range": f"bytes={have}-"})  # noqa: S310 the address is ours
    try:
        with request.urlopen(wanted, timeout=TIMEOUT_S) as response:  # noqa: S310 no redirect to a file is followed
            position = have if response.status == 206 else 0
            told = response.headers.get("Content-Range" if position else "Content-Length")
            if told not in (None, str(size), f"bytes {have}-{size - 1}/{size}"):
                raise UserError(f"{url} is not the COCO sample of {size:,} bytes ({told}); {OWN_PHOTOS}")
            while position < size:
                chunk = response.read1(min(CHUNK, size - position))
                if not chunk:
                    raise HTTPException("the connection was closed")
                yield position, chunk
                position += len(chunk)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a redirect to a malformed address
        reason = str(error) if isinstance(error, HTTPError) else getattr(error, "reason", error)
        raise _NetworkError(" ".join(str(reason).split()) or type(error).__name__) from error


def _check_md5(part: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with part.open("rb") as file, tqdm(desc="checking", total=part.stat().st_size, unit="B", unit_scale=True) as bar:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != md5:
        part.unlink()
        text = "the COCO sample did not arrive as it should (wrong MD5 checksum) and was deleted"
        raise UserError(f"{text}; run the same command again to download it afresh, or {OWN_PHOTOS}")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack the photos, none of them to a place outside `target`, which is whole or not there."""
    try:
        with building(target) as folder, tarfile.open(archive, "r:gz") as tar:
            photos = (member for member in tar if _is_photo(member))
            tar.extractall(folder, members=tqdm(photos, desc="unpacking", unit=" photos"), filter="data")
            if not _photo_folder(folder):
                raise UserError(f"{archive} has no photos in a folder {PHOTO_FOLDER}; delete it, or {OWN_PHOTOS}")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"cannot unpack {archive} ({error}); delete it and run again, or {OWN_PHOTOS}") from error


def _is_photo(member: tarfile.TarInfo) -> bool:
    path = PurePosixPath(member.name)
    return member.isfile() and path.suffix.lower() in COCO_SUFFIXES and PHOTO_FOLDER in path.parts
