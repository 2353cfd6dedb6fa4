"""How many of PyTorch's threads the calling thread computes with on the CPU.

OpenMP's threads wait for each other's next operation without sleeping only while there are no more of them than cores.
As soon as a second Python thread computes with several of them, every operation waits for the system: a prediction then
takes half as long again. So where several Python threads compute, one has all of PyTorch's threads and the others one
each, or all have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside the block, and then with as many as before.

    A Python thread that begins inside the block and says nothing else stays at `count`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
