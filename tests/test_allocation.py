"""What is freed is taken again without the system's help."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from pix2pix import allocation

PROGRAM = """
import resource, torch
from pix2pix.allocation import keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)  # 64 MiB, more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

new_pages()
usual = new_pages()
keep_freed_memory()
print(usual, [new_pages() for _ in range(20)][-1])  # the first ones make room
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc that gives memory back")
def test_large_blocks_are_kept():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    if usual < 100:
        pytest.skip("this system has huge pages for everything, so there is little to save")
    assert kept < usual / 4


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    allocation.keep_freed_memory()
