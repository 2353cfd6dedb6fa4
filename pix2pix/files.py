"""Files are written whole or not at all: under a temporary name beside the target, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pix2pix.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; it takes `path`'s place when the block ends without error."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_special(path: Path, name: str) -> None:
    """Raises UserError for a folder, and for a pipe or a device, whose reading might wait for ever or never end."""
    if path.exists() and not path.is_file():
        raise UserError(f"{name} is {'a folder' if path.is_dir() else 'no regular file'}, not a file to read")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that only grows; what a run that was killed wrote of a last line is passed over."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
