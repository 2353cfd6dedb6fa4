"""The COCO sample of the report: download, safe unpacking, and the report's split.

The archive is fast.ai's `coco_sample.tgz` (3.2 GB), a subset of COCO 2017's photos (https://cocodataset.org).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib import request
from urllib.error import HTTPError

import numpy as np
from tqdm import tqdm

from pix2pix.errors import UserError
from pix2pix.locks import built_in

COCO_SAMPLE_URL = "https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz"
COCO_SAMPLE_BYTES = 3_245_877_008
COCO_SAMPLE_MD5 = "006cd55d633d94b36ecaf661467830ec"
PHOTO_FOLDER = "train_sample"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
REPORT_PHOTOS = 12_000
REPORT_TRAIN = 9_000

TIMEOUT_S = 30.0
TRIES = 5
RETRY_WAIT_S = 2.0
CHUNK = 1 << 20
# urllib's own opener without ftp and file, to which it would go or follow a redirect.
WEB_ONLY = (
    request.ProxyHandler,
    request.UnknownHandler,
    request.HTTPHandler,
    request.HTTPSHandler,
    request.HTTPDefaultErrorHandler,
    request.HTTPRedirectHandler,
    request.HTTPErrorProcessor,
)
OWN_PHOTOS = "give your own photos with --data FOLDER"


def download_coco_sample(
    cache: Path, *, url: str = COCO_SAMPLE_URL, size: int = COCO_SAMPLE_BYTES, md5: str = COCO_SAMPLE_MD5
) -> Path:
    """The folder of photos `cache/coco_sample/.../train_sample`, downloaded (`size` bytes) unless it is there already.

    A download that broke off is continued by the next call. Calls at the same time, also from several processes, get
    the same folder. Raises `UserError` when there is no network or no space, or the archive is not the expected one.
    """
    target, part = cache / "coco_sample", cache / "coco_sample.tgz.part"
    taken = target.exists()  # asked first: another process may put the folder there at any moment
    if photos := _photo_folder(target):
        return photos
    if taken:
        raise UserError(f"{target} has no folder {PHOTO_FOLDER}; move it away and run again, or {OWN_PHOTOS}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{cache} is not a folder, the COCO sample cannot be kept there; {OWN_PHOTOS}") from None
    try:
        with built_in(cache):
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


def report_split(names: list[str], *, seed: int = 98) -> tuple[list[str], list[str]]:
    """The report's draw: 9,000 training and 3,000 validation names out of `names`, the distinct names of all photos.

    The numbers are those of `np.random.seed(98)`, `np.random.choice` of 12,000 and `np.random.permutation(12000)`.
    The report drew from its file system's own order, so its very photos cannot be known; here the names are sorted
    first, so that every machine draws the same ones. Raises `UserError` for fewer than 12,000 names.
    """
    if len(names) < REPORT_PHOTOS:
        raise UserError(f"the report's split needs {REPORT_PHOTOS:,} photos, here are {len(names):,}; {OWN_PHOTOS}")
    ordered, random = sorted(names), np.random.RandomState(seed)
    chosen = random.choice(len(ordered), REPORT_PHOTOS, replace=False)
    drawn = [ordered[index] for index in chosen[random.permutation(REPORT_PHOTOS)]]
    return drawn[:REPORT_TRAIN], drawn[REPORT_TRAIN:]


class _NetworkError(Exception):
    """Why a connection failed or broke off, in one line."""


def _photo_folder(target: Path) -> Path | None:
    return next((path for path in sorted(target.rglob(PHOTO_FOLDER)) if path.is_dir()), None)


def _check_space(part: Path, size: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    needed, free = size + max(size - have, 0), shutil.disk_usage(part.parent).free
    if free < needed:
        text = f"the COCO sample needs {needed / 1e9:.1f} GB in {part.parent}, {free / 1e9:.1f} GB are free"
        raise UserError(f"{text}; make room and run again, or {OWN_PHOTOS}")


def _download(part: Path, url: str, size: int) -> None:
    """Fill `part` up to `size` bytes, from where it is; its bytes so far are checked later, by the checksum."""
    part.touch()
    bar = tqdm(desc="COCO sample", total=size, unit="B", unit_scale=True, initial=part.stat().st_size)
    # Every byte is written at its own place and nothing is appended: two processes write the same file.
    with part.open("r+b") as file, bar:
        if file.seek(0, 2) > size:
            file.truncate(0)
        for attempt in range(1, TRIES + 1):
            received, have = 0, file.seek(0, 2)
            try:
                for position, chunk in _stream(url, have, size):
                    file.seek(position)
                    file.write(chunk)
                    received += len(chunk)
                    bar.update(position + len(chunk) - bar.n)
                return
            except _NetworkError as error:
                reason = str(error)
            if not received or attempt == TRIES:
                break
            time.sleep(RETRY_WAIT_S)
        have = file.seek(0, 2)
    if have:
        text = f"the download of the COCO sample from {url} broke off after {have:,} of {size:,} bytes ({reason})"
        raise UserError(f"{text}; run the same command again to continue, or {OWN_PHOTOS}")
    raise UserError(f"cannot download the COCO sample from {url} ({reason}); {OWN_PHOTOS}")


def _stream(url: str, have: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Positions and bytes from `have` on, or from 0 where the server cannot do that, and never beyond `size`."""
    if have == size:
        return
    try:
        response, position, total = _connect(url, have)
        with response:
            if total not in (None, size):
                raise UserError(f"{url} has {total:,} bytes, the COCO sample has {size:,}; {OWN_PHOTOS}")
            while position < size:
                chunk = response.read1(min(CHUNK, size - position))
                if not chunk:
                    raise HTTPException("the connection was closed")
                yield position, chunk
                position += len(chunk)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a redirect to a malformed address
        reason = getattr(error, "reason", error)
        if isinstance(error, HTTPError):  # which is a response too
            reason = str(error)
            error.close()
        raise _NetworkError(" ".join(str(reason).split()) or type(error).__name__) from error


def _connect(url: str, have: int) -> tuple[HTTPResponse, int, int | None]:
    """The response, the position of its first byte, and the whole file's bytes where the server tells them."""
    opener = request.OpenerDirector()
    for handler in WEB_ONLY:
        opener.add_handler(handler())
    wanted = request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    response = opener.open(wanted, timeout=TIMEOUT_S)
    if response.status != 206:
        return response, 0, response.length
    found = re.match(r"bytes (\d+)-\d+/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    if found and int(found[1]) == have:
        return response, have, int(found[2]) if found[2] else None
    response.close()
    if have:
        return _connect(url, 0)
    raise HTTPException("the server sends the wrong part of the file")


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
    """Unpack the photos to a temporary folder beside `target`, then rename it: `target` is whole or not there."""
    with tempfile.TemporaryDirectory(prefix="coco_sample-", dir=target.parent) as scratch:
        folder = Path(scratch) / target.name
        try:
            with tarfile.open(archive, "r:gz") as tar, tqdm(desc="unpacking", unit=" photos") as bar:
                for member in tar:
                    path = _inside(member)
                    photo = member.isfile() and path.suffix.lower() in PHOTO_SUFFIXES
                    if photo and PHOTO_FOLDER in path.parts:
                        (folder / path).parent.mkdir(parents=True, exist_ok=True)
                        with (folder / path).open("wb") as copy:
                            shutil.copyfileobj(tar.extractfile(member), copy)
                        bar.update()
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise UserError(f"cannot unpack {archive} ({error}); delete it and run again, or {OWN_PHOTOS}") from error
        if not folder.exists():
            raise UserError(f"{archive} has no photos in a folder {PHOTO_FOLDER}; delete it, or {OWN_PHOTOS}")
        folder.replace(target)


def _inside(member: tarfile.TarInfo) -> PurePosixPath:
    """The path of a file or folder that stays where it is unpacked, on any system; anything else is refused."""
    ways = (PurePosixPath(member.name), PureWindowsPath(member.name))
    outside = any(way.anchor or ".." in way.parts for way in ways) or "\0" in member.name
    if outside or not (member.isfile() or member.isdir()):
        raise UserError(f"the COCO archive is not safe to unpack because of {member.name!r}; {OWN_PHOTOS}")
    return ways[0]
