"""photofile/folder.py: many photos, in order, with no more in flight than allowed, whatever fails."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from stub_colorizer import StubColorizer

from pix2pix.errors import UserError
from pix2pix.photofile import folder
from pix2pix.photofile.folder import colorize_files, count_pixels, side_by_side
from pix2pix.photofile.tasks import Task

DEADLINE = 30


class Work:
    """Stub work that counts what goes on at the same time; an item is (number, size)."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), {}, 0
        self.alone = {}  # by number: whether in the calling thread, and with how many of PyTorch's threads
        self.caller = threading.get_ident()

    def __call__(self, item):
        number, size = item
        with self.lock:
            self.now[number] = size
            self.most = max(self.most, sum(self.now.values()))
            self.alone[number] = (threading.get_ident() == self.caller, torch.get_num_threads())
        time.sleep(0.001)
        with self.lock:
            del self.now[number]
        return number * 10

    def run(self, items, most):
        return list(side_by_side(items, self, size_of=lambda item: item[1], most=most, threads=3))


def test_results_come_in_order():
    items = [(number, 1 + number % 3) for number in range(100)]
    assert Work().run(items, 10) == [(item, item[0] * 10) for item in items]
    assert Work().run([], 10) == []


@pytest.mark.parametrize(("size", "most", "allowed"), [(5, 12, 10), (50, 12, 50), (1, 1000, 3)])
def test_what_is_in_work_is_bounded(size, most, allowed):
    work = Work()
    assert len(work.run([(number, size) for number in range(40)], most)) == 40
    assert work.most <= allowed


def test_a_large_one_has_all_threads_and_small_ones_one_each(two_threads):
    work = Work()
    work.run([(number, 6 if number % 5 == 0 else 1) for number in range(30)], 10)
    assert work.most <= 10
    assert all(alone == ((True, 2) if number % 5 == 0 else (False, 1)) for number, alone in work.alone.items())
    single = Work()
    single.run([(7, 1)], 10)
    assert single.alone == {7: (True, 2)}
    with ThreadPoolExecutor(1) as pool:  # neither here nor in threads that come later do they stay at one
        assert [torch.get_num_threads(), pool.submit(torch.get_num_threads).result()] == [2, 2]


@pytest.mark.parametrize(("size", "threads", "each"), [(64, 3, 1), (4096, 1, 2)])
def test_little_memory_gives_fewer_and_larger_threads(tmp_path, monkeypatch, two_threads, size, threads, each):
    """The network takes 33 GB at a working size of 4096, and a quarter of 32 GB is used."""
    monkeypatch.setattr(folder, "free_memory", lambda: 32e9)
    asked = {}

    def noted(items, work, **options):
        asked.update(options)
        return iter(())

    monkeypatch.setattr(folder, "side_by_side", noted)
    assert list(colorize_files(StubColorizer(size=size), [], lambda task: ((), []))) == []
    assert (asked["threads"], asked["computing"]) == (threads, each)


def test_three_at_a_time():
    """Each waits until all three have begun: in fewer threads it would never end."""
    barrier = threading.Barrier(3, timeout=DEADLINE)
    results = list(side_by_side(range(6), lambda item: barrier.wait() < 3, size_of=lambda item: 1, most=9, threads=3))
    assert results == [(item, True) for item in range(6)]


def test_a_slow_one_keeps_none_from_beginning():
    """The first one waits for the last one."""
    last = threading.Event()

    def work(item):
        return last.wait(DEADLINE) if item == 0 else last.set() if item == 40 else None

    results = list(side_by_side(range(41), work, size_of=lambda item: 1, most=4, threads=2))
    assert results == [(0, True), *((item, None) for item in range(1, 41))]


@pytest.mark.parametrize("most", [5, 1])
def test_failures_are_results_in_their_place(most):
    def work(item):
        if item % 4 == 1:
            raise UserError(f"no {item}")
        return item

    results = list(side_by_side(range(20), work, size_of=lambda item: 1, most=most, threads=2))
    assert [item for item, _ in results] == list(range(20))
    said = [result if isinstance(result, int) else str(result) for _, result in results]
    assert said == [number if number % 4 != 1 else f"no {number}" for number in range(20)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("most", [5, 1])
def test_a_bug_and_ctrl_c_end_it_all_with_no_thread_left(error, most):
    before, cores, begun = threading.active_count(), torch.get_num_threads(), []

    def work(item):
        begun.append(item)
        if item == 3:
            raise error

    with pytest.raises(error):
        list(side_by_side(range(1000), work, size_of=lambda item: 1, most=most, threads=3))
    assert len(begun) < 100
    assert threading.active_count() == before and torch.get_num_threads() == cores


def test_on_a_gpu_one_photo_is_colorized_at_a_time(tmp_path):
    lock, now, seen = threading.Lock(), [], []

    class OnGpu(StubColorizer):
        device = torch.device("cuda")

        def colorize_lightness(self, *args, **options):
            with lock:
                now.append(1)
                seen.append(len(now))
            time.sleep(0.002)
            with lock:
                now.pop()
            return super().colorize_lightness(*args, **options)

    for number in range(12):
        Image.new("L", (30, 20), 20 * number).save(tmp_path / f"{number}.png")
    tasks = [Task(tmp_path / f"{n}.png", tmp_path / "out" / f"{n}.png") for n in range(12)]
    assert len(list(colorize_files(OnGpu(), tasks, lambda task: ((), [])))) == 12
    assert seen == [1] * 12


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
    """With room for one photo and a half each is read once the one before it is written."""
    for number in range(4):
        Image.new("L", (100, 100), 60 * number).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(folder, "PIXELS_A_THREAD", 15_000 / (1 + torch.get_num_threads()))
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
