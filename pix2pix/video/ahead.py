"""Work that goes on while its results are used: a generator in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
_END = object()


@contextmanager
def ahead(items: Iterable[Item], depth: int, *, computing: int) -> Iterator[Iterator[Item]]:
    """The items, made in a thread, at most `depth` ahead of their use; what is raised there is raised here.

    The thread computes with `computing` of PyTorch's threads. Leaving the block stops it at its next item and waits for
    it.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        torch.set_num_threads(computing)
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as error:
            put((_END, error))
        else:
            put((_END, None))

    def take() -> Generator[Item, None, None]:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    taken = take()
    try:
        with closing(taken):
            yield taken
    finally:
        stop.set()
        thread.join()
