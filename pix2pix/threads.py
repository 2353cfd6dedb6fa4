"""Work in several Python threads, and how many of PyTorch's threads each of them computes with on the CPU.

Pillow, NumPy and PyTorch work without Python's lock, so Python threads use all cores. For photos, strips of a photo and
batches they do it better than PyTorch's own threads, which have to meet at the end of every operation.

PyTorch's threads wait for the next operation without sleeping only while there are no more of them than cores. As soon
as a second Python thread computes with several, every operation waits for the system, and takes half as long again. So
where several Python threads compute, they have one of PyTorch's threads each.

`torch.set_num_threads` is for the thread that calls it, and for those that compute for the first time after that.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int,
    begin: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """`function` of each item, in order, by `workers` threads; with 0 workers in the caller's own thread.

    Each worker calls `begin` first. At most `ahead` results wait to be taken, which bounds the memory. An error of
    `function` is raised where its result would have come. Closing the iterator, an error or Ctrl-C drops what has not
    begun and waits for what has.
    """
    if not workers:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, initializer=begin)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def map_on_cores(
    function: Callable[[Item], Result], items: Iterable[Item], *, most: int | None = None
) -> Generator[Result, None, None]:
    """`function` of each item, in order: in as many Python threads as PyTorch has, with one of PyTorch's threads each.

    `most` is how many at most, where memory or Python's lock would not do for more. One thread is the caller's own.
    """
    cores = torch.get_num_threads()
    workers = min(cores, most or cores)
    if workers == 1:
        yield from map(function, items)
        return
    one_each = partial(torch.set_num_threads, 1)
    with (
        computing_threads(1),
        closing(map_ahead(function, items, workers=workers, ahead=workers, begin=one_each)) as results,
    ):
        yield from results


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside the block, and then with as many as before.

    A Python thread that computes for the first time meanwhile stays at `count`, but does not pass it on.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def count_cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
