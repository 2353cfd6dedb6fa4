"""How much memory is free, on Linux: a program that takes more is killed there without a word."""

from __future__ import annotations

import math
import re
from pathlib import Path

# Of a control group (docs.kernel.org, cgroup-v1 and -v2): where it lies, its limit, what is used, how much of that is
# a copy of files, which the kernel gives up first.
GROUP_FILES = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory(root: Path = Path("/")) -> float:
    """Bytes that the machine and the process's control groups still have to give; infinite where neither says.

    `root` is where /proc and /sys lie.
    """
    meminfo = _numbers(root / "proc/meminfo")
    free = [1024 * (meminfo["MemAvailable"] + meminfo["SwapFree"])] if "MemAvailable" in meminfo else []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in GROUP_FILES:
            continue
        mount, limit, usage, cached = GROUP_FILES[controllers]
        group = root / mount / path.lstrip("/")
        for folder in (group, *group.parents):  # a group is held to its parents' limits too
            texts = [_read(folder / name).strip() for name in (limit, usage)]
            if all(text.isdigit() for text in texts):  # no limit is "max"
                free.append(int(texts[0]) - int(texts[1]) + _numbers(folder / "memory.stat").get(cached, 0))
            if folder == root / mount:
                break
    return min(free, default=math.inf)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _numbers(path: Path) -> dict[str, int]:
    """The names and numbers of lines like `MemFree:  123 kB`; none where there is no such file."""
    return {name: int(number) for name, number in re.findall(r"^(\w+):?\s+(\d+)", _read(path), re.MULTILINE)}
