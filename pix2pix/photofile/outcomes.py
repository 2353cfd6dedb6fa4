"""What became of every photo, told to people or, as lines of JSON, to programs."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from pix2pix.errors import one_line
from pix2pix.photofile.tasks import STREAM


class Outcomes:
    """Prints a line for each photo, counts, and keeps what failed."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self.started = time.perf_counter()

    def add(self, source: Path, target: Path | None, status: str, note: str = "") -> None:
        """`status` is "done", "skipped" or "failed"; `note` says why."""
        note = one_line(note)
        self.counts[status] += 1
        if status == "failed":
            self.failed.append(note)
        if self.as_json:
            line = {"status": status, "photo": str(source), "written": str(target) if status == "done" else None}
            _print_line(json.dumps(line | {"note": note}))
        elif status == "failed":
            _print_line(f"error: {note}", file=sys.stderr)
        elif target != STREAM:
            arrow = f"{source} -> {target}" if status == "done" else f"{target}"
            _print_line(one_line(arrow + (f": {note}" if note else "")))

    def remark(self, text: str) -> None:
        """Print what is no photo's: on stderr, where no program reads it."""
        _print_line(one_line(text), file=sys.stderr)

    def summarize(self) -> None:
        """For more than one photo: the counts, the time, and once more what failed."""
        if sum(self.counts.values()) < 2:
            return
        seconds = time.perf_counter() - self.started
        done, skipped, failed = (self.counts[status] for status in ("done", "skipped", "failed"))
        said = f"{done} colorized, {skipped} already there, {failed} failed, in {seconds:.0f} s"
        print(said, file=sys.stderr)
        if self.failed:
            print("failed:", *self.failed, sep="\n  ", file=sys.stderr)


def _print_line(line: str, file: TextIO | None = None) -> None:
    """Print beside the progress bar, in one write: processes that share an output do not mix their lines."""
    tqdm.write(f"{line}\n", file=file, end="")
