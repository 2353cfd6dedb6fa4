"""Work done ahead in threads: Pillow decodes and resizes without Python's lock, so threads use all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
