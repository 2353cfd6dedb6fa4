"""How much memory is free, read from the files of a made-up machine."""

import math

import pytest

from pix2pix.photofile.memory import free_memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path):
    """`machine({"proc/meminfo": text, ...})` writes those files and returns their root."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


MEMINFO = f"MemTotal: {9 * 2**20} kB\nMemFree: 100 kB\nMemAvailable:   {8 * 2**20} kB\nSwapFree:  0 kB\n"
LIMITS = {"memory.max": "max", "memory.current": "5"}


def test_the_machines_own_memory(machine):
    assert free_memory(machine({"proc/meminfo": MEMINFO})) == 8 * GIB


def test_what_says_nothing_has_no_limit(tmp_path):
    assert free_memory(tmp_path) == math.inf


@pytest.mark.parametrize("group", ["a/b", "a", ""])
def test_a_control_groups_limit_and_those_above_it(machine, group):
    files = {f"sys/fs/cgroup/a/b/{name}": text for name, text in LIMITS.items()}
    files |= {
        f"sys/fs/cgroup/{group}/memory.max": f"{4 * GIB}\n",
        f"sys/fs/cgroup/{group}/memory.current": f"{3 * GIB}",
    }
    files[f"sys/fs/cgroup/{group}/memory.stat"] = f"anon 7\ninactive_file {GIB}\n"
    root = machine(files | {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/a/b\n"})
    assert free_memory(root) == 2 * GIB


def test_a_control_group_of_version_1_seen_from_inside_a_container(machine):
    folder = "sys/fs/cgroup/memory"
    files = {f"{folder}/memory.limit_in_bytes": f"{2 * GIB}", f"{folder}/memory.usage_in_bytes": f"{GIB}"}
    groups = "5:cpu:/docker/1\n4:memory:/docker/1\n"
    assert free_memory(machine(files | {"proc/meminfo": MEMINFO, "proc/self/cgroup": groups})) == GIB
