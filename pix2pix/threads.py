"""Work in several Python threads, and how many of PyTorch's threads each of them computes with on the CPU.

Pillow, NumPy and PyTorch work without Python's lock, so Python threads use all cores. For small pieces of work they do
it better than PyTorch's own threads, which have to meet at the end of every operation: half as long for a photo.

These wait for the next operation without sleeping only while there are no more of them than cores. As soon as a second
Python thread computes with several, every operation waits for the system, and takes half as long again. So where
several Python threads compute, one has all of PyTorch's threads and the others one each, or all have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int
) -> Generator[Result, None, None]:
    """`function` of each item, in order, by `workers` threads; with 0 workers in the caller's own thread.

    At most `ahead` results wait to be taken, which bounds the memory. An error of `function` is raised where its result
    would have come. Closing the iterator, an error or Ctrl-C drops what has not begun and waits for what has.
    """
    if not workers:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers)
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
    cores = min(torch.get_num_threads(), most or torch.get_num_threads())
    workers = cores if cores > 1 else 0
    with computing_threads(1), closing(map_ahead(function, items, workers=workers, ahead=cores)) as results:
        yield from results


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
