"""Many photos: several at a time, each read, colorized and written in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from pix2pix.decoding.opening import opened, without_pillow_limit
from pix2pix.decoding.pictures import pictures_of
from pix2pix.errors import UserError
from pix2pix.files import refuse_special
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import color_pages, load_pages, write_photo
from pix2pix.photofile.memory import free_memory
from pix2pix.photofile.read import MAX_PIXELS
from pix2pix.photofile.tasks import Task
from pix2pix.threads import count_cores

MOST_WAITING = 2  # photos for each thread, begun or not
PIXELS_A_THREAD = 16_000_000  # of the photos in work: a phone's photo, and some more
BYTES_A_PIXEL = 12  # that a photo takes on its way
NETWORK_BYTES = 2000  # that the network takes on a CPU, for each pixel of its working size squared
MOST_BESIDE_A_GPU = 8  # threads that read and write
Results = Iterator[tuple[Task, list[str] | UserError]]
Item = TypeVar("Item")
Result = TypeVar("Result")


def colorize_files(
    colorizer: Colorizer,
    tasks: Sequence[Task],
    points_of: Callable[[Task], tuple[Sequence[Point], list[str]]],
    *,
    name_of: Callable[[Task], str] = lambda task: str(task.source),
    max_pixels: int = MAX_PIXELS,
    compare: bool = False,
) -> Results:
    """Colorize files; gives each task, in order, with what the user should know of it, or with why it failed.

    `points_of` gives a task's points and what to say of them, or raises UserError; threads call it. `name_of` is what
    errors call a task's photo.
    """
    on_cpu, cores = colorizer.device.type == "cpu", torch.get_num_threads()
    spare = int(min(free_memory(), 1e12)) // 4
    if on_cpu:
        threads = max(1, min(1 + cores, spare // (NETWORK_BYTES * colorizer.size**2)))
    else:
        threads = min(MOST_BESIDE_A_GPU, 1 + count_cores())
    # A GPU has one photo at a time, while others are read and written.
    turn = nullcontext() if on_cpu else threading.Lock()

    def work(task: Task) -> list[str]:
        name = name_of(task)
        points, notes = points_of(task)
        pages = load_pages(task.source, name=name, max_pixels=max_pixels)
        pictures = color_pages(colorizer, pages, task.target, name=name, points=points, compare=compare)
        return notes + write_photo(pages, _in_turn(pictures, turn), task.target, name=name)

    yield from side_by_side(
        tasks,
        work,
        size_of=lambda task: count_pixels(task.source),
        most=min(PIXELS_A_THREAD * threads, spare // BYTES_A_PIXEL),
        threads=threads,
        computing=max(1, cores // threads) if on_cpu else cores,
    )


def side_by_side(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    size_of: Callable[[Item], int],
    most: int,
    threads: int,
    computing: int = 1,
) -> Iterator[tuple[Item, Result | UserError]]:
    """Each item, in order, with `work`'s result or its UserError; any other exception ends it all.

    Items in work have sizes of at most `most` together. One that leaves no room for another of its size is alone, in
    the calling thread and with all of PyTorch's threads; the others have `computing` of PyTorch's threads each.
    """
    waiting, next_size = deque(items), None
    begun: deque[tuple[Item, int, Future[Result]]] = deque()
    cores = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(computing,)) as pool:
        try:
            while waiting or begun:
                while begun and begun[0][2].done():
                    item, _, future = begun.popleft()
                    outcome: Result | UserError
                    try:
                        outcome = future.result()
                    except UserError as error:
                        outcome = error
                    yield item, outcome
                sizes = {future: size for _, size, future in begun if not future.done()}
                if waiting:
                    next_size = size_of(waiting[0]) if next_size is None else next_size
                    alone = 2 * next_size > most or len(items) == 1
                    has_room = sum(sizes.values()) + next_size <= most and len(sizes) < MOST_WAITING * threads
                    if not sizes or (has_room and not alone):
                        item, size, next_size = waiting.popleft(), next_size, None
                        begun.append((item, size, _done(work, item) if alone else pool.submit(work, item)))
                        continue
                wait(sizes, return_when=FIRST_COMPLETED)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)  # for threads that begin later: those of the pool have set it for them too


def _done(work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Work done here and now, as if a thread had done it."""
    future: Future[Result] = Future()
    try:
        future.set_result(work(item))
    except UserError as error:
        future.set_exception(error)
    return future


def _in_turn(pictures: Iterator[np.ndarray], turn: AbstractContextManager[object]) -> Generator[np.ndarray, None, None]:
    """The pictures, each made while `turn` is held."""
    while True:
        with turn:
            picture = next(pictures, None)
        if picture is None:
            return
        yield picture


def count_pixels(photo: Path) -> int:
    """The pixels of all pages, by the file's header; 0 for what reading it will refuse."""
    try:
        refuse_special(photo, str(photo))
        with without_pillow_limit(), opened(photo, str(photo)) as file:
            return sum(picture.width * picture.height for picture in pictures_of(file, str(photo)))
    except Exception:  # a damaged file makes Pillow's readers raise almost anything
        return 0
