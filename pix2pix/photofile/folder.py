"""Many photos: while one is colorized, the next are read and the last ones written, in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pix2pix.decoding.opening import opened, without_pillow_limit
from pix2pix.decoding.pictures import pictures_of
from pix2pix.errors import UserError
from pix2pix.files import refuse_special
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import color_pages, load_pages, write_photo
from pix2pix.photofile.memory import free_memory
from pix2pix.photofile.read import MAX_PIXELS, Page
from pix2pix.photofile.tasks import Task

THREADS = min(8, 1 + (os.cpu_count() or 1))
MOST_IN_FLIGHT = 2 * THREADS  # photos that are read, colorized or written at the same time
PIXELS_IN_FLIGHT = 48_000_000  # of all of them: four of a phone's photos; a larger one is alone
BYTES_A_PIXEL = 12  # that a photo takes on its way
Results = Iterator[tuple[Task, list[str] | UserError]]
Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")


def colorize_files(
    colorizer: Colorizer,
    tasks: Iterable[Task],
    points_of: Callable[[Task], tuple[Sequence[Point], list[str]]],
    *,
    max_pixels: int = MAX_PIXELS,
    compare: bool = False,
) -> Results:
    """Colorize files; gives each task, in order, with what the user should know of it, or with why it failed.

    `points_of` gives a task's points and what to say of them, or raises UserError; threads call it.
    """

    def read(task: Task) -> tuple[list[Page], Sequence[Point], list[str]]:
        points, notes = points_of(task)
        return load_pages(task.source, name=str(task.source), max_pixels=max_pixels), points, notes

    def color(task: Task, loaded: tuple[list[Page], Sequence[Point], list[str]]) -> Callable[[], list[str]]:
        pages, points, notes = loaded
        name = str(task.source)
        pictures = color_pages(colorizer, pages, task.target, name=name, points=points, compare=compare)
        if len(pages) == 1:
            done = list(pictures)
            return lambda: notes + write_photo(pages, done, task.target, name=name)
        said = write_photo(pages, pictures, task.target, name=name)  # here: never all of its pictures in memory
        return lambda: notes + said

    pixels = min(PIXELS_IN_FLIGHT, int(min(free_memory(), 1e12)) // (4 * BYTES_A_PIXEL))
    yield from overlapped(tasks, read, color, size_of=lambda task: count_pixels(task.source), most=pixels)


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Loaded],
    color: Callable[[Item, Loaded], Callable[[], Result]],
    *,
    size_of: Callable[[Item], int],
    most: int,
) -> Iterator[tuple[Item, Result | UserError]]:
    """Each item, in order, with its result or the UserError of one of its three steps.

    `read` runs in threads ahead of `color`, which runs in the calling thread and returns what then runs in a thread
    for the result. At any time the items between being read and having a result have sizes of at most `most`
    together, and are at most MOST_IN_FLIGHT; or it is a single one. Any other exception ends it all.
    """
    waiting = deque(items)
    reading: deque[tuple[Item, int, Future[Loaded]]] = deque()
    writing: deque[tuple[Item, int, Future[Result]]] = deque()
    in_flight, next_size = 0, None
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            while waiting or reading or writing:
                while waiting:
                    next_size = size_of(waiting[0]) if next_size is None else next_size
                    count = len(reading) + len(writing)
                    if count and (in_flight + next_size > most or count >= MOST_IN_FLIGHT):
                        break
                    item = waiting.popleft()
                    reading.append((item, next_size, pool.submit(read, item)))
                    in_flight, next_size = in_flight + next_size, None
                if reading:
                    item, size, loaded = reading.popleft()
                    writing.append((item, size, _write_behind(pool, item, loaded, color)))
                    del loaded
                must_wait = not reading
                while writing and (must_wait or writing[0][2].done()):
                    item, size, written = writing.popleft()
                    in_flight, must_wait = in_flight - size, False
                    outcome: Result | UserError
                    try:
                        outcome = written.result()
                    except UserError as error:
                        outcome = error
                    yield item, outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _write_behind(
    pool: ThreadPoolExecutor,
    item: Item,
    loaded: Future[Loaded],
    color: Callable[[Item, Loaded], Callable[[], Result]],
) -> Future[Result]:
    try:
        return pool.submit(color(item, loaded.result()))
    except UserError as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed


def count_pixels(photo: Path) -> int:
    """The pixels of all pages, by the file's header; 0 for what reading it will refuse."""
    try:
        refuse_special(photo, str(photo))
        with without_pillow_limit(), opened(photo, str(photo)) as file:
            return sum(picture.width * picture.height for picture in pictures_of(file, str(photo)))
    except Exception:  # a damaged file makes Pillow's readers raise almost anything
        return 0
