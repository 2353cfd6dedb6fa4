"""Which files are photos, by their names and by their first bytes, and Pillow made ready to open them."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, features

from pix2pix.errors import UserError

# The endings of photos' names, for colorizing, training and evaluating alike.
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif",
    ".jp2", ".j2k", ".jpx", ".jpf", ".pgm", ".ppm", ".pnm", ".pbm",
)  # fmt: skip
# Not all that Pillow reads: an EPS, for one, would start a program.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF", "PPM")
HEAD = 32  # bytes that tell a photo's kind
PHOTO_HEADS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a", b"BM",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",
)  # fmt: skip
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
RAW_SUFFIXES = (
    ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".3fr", ".iiq", ".erf", ".mrw", ".x3f", ".dcr", ".kdc", ".mef", ".mos", ".rwl", ".gpr",
)  # fmt: skip
# Canon, Olympus, Panasonic, Fujifilm, Sigma and Minolta; others are told by their TIFF tags.
RAW_HEADS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[BinaryIO]:
    """The file, or a file's content, as a file at its beginning. Raises UserError for an empty one."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if not file.read(1):
            raise UserError(f"{name} is empty")
        file.seek(0)
        yield file


def is_photo_head(head: bytes) -> bool:
    """Whether a file that begins with these bytes (HEAD of them) is a photo of a kind that is read."""
    if head[:2] == b"BM":
        return head[6:10] == bytes(4)
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return b"avi" in head[8:] or head[8:12] in HEIF_BRANDS
    return head.startswith(PHOTO_HEADS) and not head.startswith(RAW_HEADS)


def begins_as_photo(path: str) -> bool:
    """Whether a file, by how it begins, is a photo; no for one that cannot be read, and for a pipe or a device."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return False
        with open(path, "rb") as file:  # noqa: PTH123
            return is_photo_head(file.read(HEAD))
    except OSError:
        return False


def refuse_raw(name: str) -> None:
    """Raise the UserError for a camera's raw file."""
    raise UserError(f"{name} is a camera's raw file; develop it first (save it as TIFF or JPEG), then colorize that")


def open_with_pillow(file: BinaryIO, name: str) -> Image.Image:
    """The file opened by Pillow, nothing decoded. Raises UserError for what Pillow does not know.

    Pillow gets an open file, not a path: of a path it maps some TIFFs into memory in the wrong shape.
    """
    Image.init()
    head = _head(file)
    brands = head[8:] if head[4:8] == b"ftyp" else b""
    is_avif = b"avi" in brands
    if brands[:4] in HEIF_BRANDS and not is_avif and not register_heif():
        raise UserError(f'{name} is an HEIC photo; reading these needs: pip install -e ".[heic]"')
    if is_avif and not features.check("avif"):
        raise UserError(f"{name} is an AVIF photo, which this Pillow cannot read; try: pip install -U pillow")
    try:
        known = [format for format in FORMATS if format in Image.OPEN]
        return Image.open(file, formats=known)
    except Image.UnidentifiedImageError:
        reason = f"damaged, or of no kind among {' '.join(FORMATS)}"
        raise UserError(f"{name} is not a photo that can be read ({reason})") from None


def kind_of(file: BinaryIO, name: str) -> str:
    """ "TIFF", "PNG", "PPM", or "" for any other. Raises UserError for a camera's raw file."""
    head = _head(file)
    if head.startswith(RAW_HEADS) or head[8:12] == b"crx " or (head[:4] == b"II*\0" and head[8:10] == b"CR"):
        refuse_raw(name)
    if head[:2] in (b"II", b"MM") and head[2:4] in (b"*\0", b"\0*", b"+\0", b"\0+"):
        return "TIFF"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    return "PPM" if head[:1] == b"P" and head[1:2] in (b"2", b"3", b"5", b"6") else ""


def register_heif() -> bool:
    """Let Pillow read and write HEIC; False where pillow-heif is not installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    return head


class _PillowLimit:
    """Pillow's limit of pixels and Python's warnings, which are one for the whole process: lifted while any thread
    reads, and put back by the last one."""

    def __init__(self) -> None:
        self.lock, self.readers, self.restore = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            self.readers += 1
            if self.readers > 1:
                return
            self.restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            self.restore.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # of bad tags and large photos
            Image.MAX_IMAGE_PIXELS = None

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                self.restore.close()


_pillow_limit = _PillowLimit()


def without_pillow_limit() -> _PillowLimit:
    """A context in which Pillow has no limit of pixels and does not warn of bad tags."""
    return _pillow_limit
