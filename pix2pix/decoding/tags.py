"""The directories of tags that TIFF and EXIF are made of, read and written without touching the bytes of a value.

Pillow decodes a tag's text and encodes it as ASCII, which would turn "André" into "Andr??".
TIFF 6.0 section 2, the BigTIFF proposal, and Exif 2.32 section 4.6.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO, NamedTuple

EXIF, GPS, SUB_IFDS, ORIENTATION, XMP, IPTC, ICC = 34665, 34853, 330, 274, 700, 33723, 34675
# struct's letter of each of TIFF's types; a rational is two numbers.
LETTERS = {
    1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I",
    16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
MOST_TAGS = 4096  # in one directory; more is a damaged file


class Tag(NamedTuple):
    """A value as it lies in the file: its type, how many of it, and their bytes in the directory's byte order."""

    type: int
    length: int
    data: bytes


class Directory(dict[int, Tag]):
    """The tags of one directory by their numbers, the byte order of their values ("<" or ">"), and its own place."""

    def __init__(self, order: str = "<", place: int = 0) -> None:
        super().__init__()
        self.order, self.place = order, place

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The numbers of a tag, a rational as a float; none where the tag is missing."""
        if tag not in self:
            return ()
        letters = LETTERS[self[tag].type]
        values = struct.unpack(self.order + letters * self[tag].length, self[tag].data)
        if len(letters) == 1:
            return values
        return tuple(above / below if below else 0.0 for above, below in zip(values[::2], values[1::2], strict=True))

    def integers(self, tag: int, *default: int) -> tuple[int, ...]:
        """The same as whole numbers, `default` where the tag is missing."""
        return tuple(int(value) for value in self.numbers(tag)) or default

    def integer(self, tag: int, default: int) -> int:
        """The first of a tag's numbers."""
        return self.integers(tag, default)[0]

    def set(self, tag: int, type: int, *values: int) -> None:
        """Give a tag of whole numbers; a rational takes two of them."""
        letters = LETTERS[type]
        data = struct.pack(self.order + letters * (len(values) // len(letters)), *values)
        self[tag] = Tag(type, len(values) // len(letters), data)


def read_directories(file: BinaryIO) -> list[Directory]:
    """The directories of a TIFF file, one for each of its pages, or of EXIF. Raises ValueError for a damaged file."""
    order, big, start = _read_header(file)
    found: list[Directory] = []
    seen: set[int] = set()
    while start and start not in seen:
        seen.add(start)
        try:
            directory, start = _read_directory(file, start, order, big)
        except (struct.error, OSError, OverflowError, ValueError):
            if not found:
                raise ValueError("its first directory of tags is damaged") from None
            break
        found.append(directory)
    return found


def read_inner(file: BinaryIO, directory: Directory, tag: int) -> list[Directory]:
    """The directories that a tag of `directory` points to (EXIF, GPS, SUB_IFDS); damaged ones are left out."""
    order, big, _ = _read_header(file)
    found = []
    for start in directory.integers(tag):
        try:
            found.append(_read_directory(file, start, order, big)[0])
        except (struct.error, OSError, OverflowError, ValueError):
            continue
    return found


def read_exif(content: bytes) -> tuple[Directory, dict[int, Directory]]:
    """EXIF's main directory and its inner ones by their tags. Raises ValueError when it is damaged."""
    file = io.BytesIO(content.removeprefix(b"Exif\0\0"))
    directories = read_directories(file)
    if not directories:
        raise ValueError("it has no directory of tags")
    main = directories[0]
    return main, {tag: inner[0] for tag in (EXIF, GPS) if (inner := read_inner(file, main, tag))}


def write_exif(main: Directory, inner: dict[int, Directory]) -> bytes:
    """EXIF that holds these directories, all of one byte order, with its usual beginning."""
    main = _copy(main)
    for tag in inner:
        main.set(tag, 4, 0)
    place = 8 + len(write_directory(main, 8))
    parts = b""
    for tag, directory in inner.items():
        main.set(tag, 4, place + len(parts))
        parts += write_directory(directory, place + len(parts))
    mark = b"II*\0" if main.order == "<" else b"MM\0*"
    return b"Exif\0\0" + mark + struct.pack(main.order + "I", 8) + write_directory(main, 8) + parts


def write_directory(directory: Directory, start: int) -> bytes:
    """The bytes of a directory that is to lie at `start` of a file, its values behind it; no other follows it."""
    order = directory.order
    entries, values, place = b"", b"", start + 2 + 12 * len(directory) + 4
    for number, (type, count, data) in sorted(directory.items()):
        entries += struct.pack(order + "HHI", number, type, count)
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", place + len(values))
            values += data + bytes(len(data) % 2)
    return struct.pack(order + "H", len(directory)) + entries + bytes(4) + values


def with_first_directory(content: bytes, directory: Directory) -> bytes:
    """A TIFF file's content with another of its directories as the first one."""
    big = 43 in content[2:4]
    place = slice(8, 16) if big else slice(4, 8)
    changed = bytearray(content)
    changed[place] = struct.pack(directory.order + ("Q" if big else "I"), directory.place)
    return bytes(changed)


def _copy(directory: Directory) -> Directory:
    copied = Directory(directory.order)
    copied.update(directory)
    return copied


def _read_header(file: BinaryIO) -> tuple[str, bool, int]:
    """(byte order, whether it is a BigTIFF, where the first directory is)."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or (42 not in head[2:4] and 43 not in head[2:4]) or len(head) < 8:
        raise ValueError("it does not begin as a TIFF does")
    if 43 not in head[2:4]:
        return order, False, struct.unpack_from(order + "I", head, 4)[0]
    return order, True, struct.unpack_from(order + "Q", head.ljust(16, b"\0"), 8)[0]


def _read_directory(file: BinaryIO, start: int, order: str, big: bool) -> tuple[Directory, int]:
    """The directory at `start` and where the next one is, 0 for none; tags whose values are cut off are left out."""
    of_count, of_entry, of_offset = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    file.seek(start)
    (count,) = struct.unpack(order + of_count, file.read(struct.calcsize(order + of_count)))
    if count > MOST_TAGS:
        raise ValueError("it has too many tags")
    length = struct.calcsize(order + of_entry)
    content = file.read(count * length)
    rest = file.read(struct.calcsize(order + of_offset))
    entries = struct.iter_unpack(order + of_entry, content[: len(content) // length * length])
    directory = Directory(order, start)
    for number, type, values, field in entries:
        size = struct.calcsize("=" + LETTERS.get(type, "")) * values
        if not size:
            continue
        data = field[:size]
        if size > len(field):
            file.seek(struct.unpack(order + of_offset, field)[0])
            data = file.read(size)
        if len(data) == size:
            directory[number] = Tag(type, values, data)
    if len(rest) < struct.calcsize(order + of_offset):
        return directory, 0
    return directory, struct.unpack(order + of_offset, rest)[0]
