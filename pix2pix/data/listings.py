"""What large sets of folders held at the last start, so that a folder that has not changed is not listed again.

To list a million files takes longer than all else at the start of a training. Adding, removing or renaming a file
changes its folder's time, on almost all disks. On one that keeps the time, a new photo is not noticed until the file
here is deleted; a folder that is gone makes `find_photos` list everything anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from pix2pix.data.building import cache_folder
from pix2pix.files import Listing, list_folder, replacing

FORMAT = 1
MANY = 100_000  # files; fewer are not worth a memory
SETTLED = 5.0  # seconds: a folder changed less long ago may change again without another time

State = list[int]  # a folder's times in ns, of its entries and of its permissions, its number and its size
Entry = tuple[State, list[str], str]  # its state, its folders, its files


class Listings:
    """The listings of a folder and all below it, kept in a file of `cache`; give `list_folder` to `walk_files`."""

    def __init__(self, cache: Path, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        self.file = cache_folder(cache) / f"listing-{name}.json"
        self.known = _read(self.file)
        self.used: dict[str, Entry] = {}
        self.files, self.remembered = 0, False

    def list_folder(self, place: str, stat: os.stat_result) -> Listing:
        now, state = time.time(), [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size]
        known = self.known.get(place)
        if known is not None and known[0] == state:
            listing = Listing(known[1], [], known[2].split("/") if known[2] else [], True)
            self.used[place], self.remembered = known, True
        else:
            listing = list_folder(place)
            if listing.without_links and 0 < stat.st_mtime_ns < (now - SETTLED) * 1e9:
                self.used[place] = (state, listing.folders, "/".join(listing.files))
        self.files += len(listing.files)
        return listing

    def save(self) -> None:
        """Keep what was listed for the next start, if it was much; where the cache cannot be written it is not kept."""
        if self.files > MANY and self.used != self.known:
            try:
                with replacing(self.file) as temporary:
                    temporary.write_text(json.dumps({"format": FORMAT, "folders": self.used}))
            except OSError:
                pass

    def forget(self) -> None:
        """List every folder anew from now on."""
        self.known, self.used, self.files, self.remembered = {}, {}, 0, False


def _read(file: Path) -> dict[str, Entry]:
    """A listing file's content; of one that is missing, damaged or of another format, nothing."""
    try:
        content = json.loads(file.read_text())
        folders = content["folders"] if content["format"] == FORMAT else {}
        return {place: entry for place, entry in folders.items() if _is_entry(entry)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_entry(entry: Any) -> bool:  # noqa: ANN401
    match entry:
        case [list(), [*folders], str()]:
            return all(isinstance(folder, str) for folder in folders)
    return False
