"""What large sets of folders held at the last start, so that a folder that has not changed is not listed again.

To list a million files takes longer than all else at the start of a training. Adding, removing or renaming a file
changes its folder's time. Small sets are always listed anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from pix2pix.data.building import cache_folder
from pix2pix.files import Listing, list_folder, replacing

MANY = 100_000  # files; fewer are not worth a memory
SETTLED = 5.0  # seconds: a folder changed less long ago may change again without another time

Times = list[int]  # a folder's, of its entries and of its permissions, in ns


class Listings:
    """The listings of a folder and all below it, kept in a file of `cache`; give `list_folder` to `walk_files`."""

    def __init__(self, cache: Path, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        self.file = cache_folder(cache) / f"listing-{name}.json"
        self.known = _read(self.file)
        self.used: dict[str, tuple[Times, list[str], str]] = {}
        self.files, self.new = 0, False

    def list_folder(self, place: str, stat: os.stat_result) -> Listing:
        times = [stat.st_mtime_ns, stat.st_ctime_ns]
        known = self.known.get(place)
        if known is not None and known[0] == times:
            listing = Listing(known[1], [], known[2].split("/") if known[2] else [], True)
        else:
            listing = list_folder(place, stat)
            self.new = True
        if listing.without_links and max(times) / 1e9 < time.time() - SETTLED:
            self.used[place] = (times, listing.folders, "/".join(listing.files))
        self.files += len(listing.files)
        return listing

    def save(self) -> None:
        """Keep what was listed for the next start, if it was much."""
        if self.new and self.files > MANY:
            with replacing(self.file) as temporary:
                temporary.write_text(json.dumps(self.used))


def _read(file: Path) -> dict[str, tuple[Times, list[str], str]]:
    """A listing file's content; of a missing or damaged one, nothing."""
    try:
        entries = json.loads(file.read_text()).items()
        return {place: (times, folders, files) for place, (times, folders, files) in entries}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
