"""photofile/folder.py: many photos, in order, with no more in flight than allowed, whatever fails."""

import threading
import time

import numpy as np
import pytest
import tifffile
from PIL import Image
from stub_colorizer import StubColorizer

from pix2pix.errors import UserError
from pix2pix.photofile import folder
from pix2pix.photofile.folder import colorize_files, count_pixels, overlapped
from pix2pix.photofile.tasks import Task

DEADLINE = 30


class Steps:
    """Stub steps that count what is in flight; an item is (number, size)."""

    def __init__(self):
        self.lock, self.in_flight, self.most, self.colorers = threading.Lock(), {}, 0, set()

    def read(self, item):
        with self.lock:
            self.in_flight[item[0]] = item[1]
            self.most = max(self.most, sum(self.in_flight.values()))
        return item[0] * 10

    def color(self, item, loaded):
        self.colorers.add(threading.get_ident())
        return lambda: self.write(item, loaded)

    def write(self, item, loaded):
        with self.lock:
            del self.in_flight[item[0]]
        return loaded + 1

    def run(self, items, most):
        return list(overlapped(items, self.read, self.color, size_of=lambda item: item[1], most=most))


def test_results_come_in_order_and_colors_in_the_calling_thread():
    steps = Steps()
    items = [(number, 1) for number in range(200)]
    assert steps.run(items, 10) == [(item, item[0] * 10 + 1) for item in items]
    assert steps.most <= 10 and steps.colorers == {threading.get_ident()}
    assert Steps().run([], 10) == []


@pytest.mark.parametrize(("size", "most", "allowed"), [(5, 12, 10), (50, 12, 50), (1, 1000, folder.MOST_IN_FLIGHT)])
def test_what_is_in_flight_is_bounded(size, most, allowed):
    steps = Steps()
    assert len(steps.run([(number, size) for number in range(60)], most)) == 60
    assert steps.most <= allowed


def test_a_large_one_is_alone_between_small_ones():
    steps = Steps()
    steps.run([(number, 100 if number % 5 == 0 else 1) for number in range(40)], 10)
    assert steps.most == 100


def test_reading_coloring_and_writing_happen_at_the_same_time():
    """Each step of one waits until the others of its neighbors have begun: without overlap it would never end."""
    reading, writing = threading.Event(), threading.Event()

    def read(item):
        if item == 2:
            reading.set()
        return item

    def color(item, loaded):
        if item == 1:
            assert reading.wait(DEADLINE) and writing.wait(DEADLINE)
        return lambda: write(item)

    def write(item):
        if item == 0:
            writing.set()
        return item

    results = list(overlapped(range(3), read, color, size_of=lambda item: 1, most=3))
    assert [result for _, result in results] == [0, 1, 2]


def test_failures_of_every_step_are_results_in_their_place():
    def read(item):
        if item % 4 == 1:
            raise UserError(f"read {item}")
        return item

    def color(item, loaded):
        if item % 4 == 2:
            raise UserError(f"color {item}")
        return lambda: write(item)

    def write(item):
        if item % 4 == 3:
            raise UserError(f"write {item}")
        return item

    results = list(overlapped(range(20), read, color, size_of=lambda item: 1, most=5))
    assert [item for item, _ in results] == list(range(20))
    steps = (None, "read", "color", "write")
    said = [result if isinstance(result, int) else str(result) for _, result in results]
    assert said == [number if number % 4 == 0 else f"{steps[number % 4]} {number}" for number in range(20)]


@pytest.mark.parametrize("place", ["read", "color", "write"])
def test_a_bug_and_ctrl_c_end_it_all_with_no_thread_left(place):
    before, error = threading.active_count(), KeyboardInterrupt if place == "color" else ZeroDivisionError
    begun = []

    def fail(name, item):
        if name == place and item == 3:
            raise error
        return item

    def read(item):
        begun.append(item)
        return fail("read", item)

    def color(item, loaded):
        fail("color", item)
        return lambda: fail("write", item)

    with pytest.raises(error):
        list(overlapped(range(1000), read, color, size_of=lambda item: 1, most=5))
    assert len(begun) < 100
    end = time.monotonic() + DEADLINE
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_files_of_many_kinds_in_order(tmp_path, real_photos):
    tasks = []
    for number, photo in enumerate(real_photos):
        source = tmp_path / f"{number:02d}{('.png', '.jpg', '.tif')[number % 3]}"
        Image.fromarray(photo).convert("L").save(source)
        tasks.append(Task(source, tmp_path / "out" / source.name))
    pages = np.stack([np.full((20, 30), level, np.uint8) for level in (50, 100, 150)])
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    (tmp_path / "words.png").write_text("words")
    tasks[3:3] = [Task(tmp_path / "words.png", tmp_path / "out" / "words.png")]
    tasks[5:5] = [Task(tmp_path / "pages.tif", tmp_path / "out" / "pages.tif")]
    results = list(colorize_files(StubColorizer(), tasks, lambda task: ((), [task.source.name])))
    assert [task for task, _ in results] == tasks
    assert [notes for task, notes in results if task.source.name != "words.png"] == [
        [task.source.name] for task in tasks if task.source.name != "words.png"
    ]
    assert isinstance(results[3][1], UserError) and not (tmp_path / "out" / "words.png").exists()
    assert tifffile.imread(tmp_path / "out" / "pages.tif").shape == (3, 20, 30, 3)
    assert len(list((tmp_path / "out").iterdir())) == 13


def test_pixels_by_the_header(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    (tmp_path / "words.png").write_text("words")
    names = ("a.png", "pages.tif", "words.png", "gone.png", ".")
    assert [count_pixels(tmp_path / name) for name in names] == [600, 1800, 0, 0, 0]


def test_large_scans_are_never_two_at_a_time(tmp_path, monkeypatch):
    """With a limit of one photo and a half, reading and coloring take turns."""
    for number in range(4):
        Image.new("L", (100, 100), 60 * number).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(folder, "PIXELS_IN_FLIGHT", 15_000)
    events = []
    read, write = folder.load_pages, folder.write_photo

    def noted(step, function):
        def call(*args, **options):
            result = function(*args, **options)
            events.append(step)
            return result

        return call

    monkeypatch.setattr(folder, "load_pages", noted("read", read))
    monkeypatch.setattr(folder, "write_photo", noted("written", write))
    tasks = [Task(tmp_path / f"{n}.png", tmp_path / "out" / f"{n}.png") for n in range(4)]
    assert len(list(colorize_files(StubColorizer(), tasks, lambda task: ((), [])))) == 4
    assert events == ["read", "written"] * 4
