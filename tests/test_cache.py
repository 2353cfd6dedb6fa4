"""The cache of decoded photos: used again, built anew, by two at once, on full disks; what it says of gray photos."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from pix2pix.data import cache
from pix2pix.data.cache import mean_spread, prepare_photos, refuse_broken, squash
from pix2pix.data.photos import find_photos, read_photo
from pix2pix.errors import UserError


def prepare(folder, where, size=32, workers=2):
    return prepare_photos(find_photos([folder]), size, cache=where, workers=workers)


@pytest.fixture
def never_built(monkeypatch):
    """A function after whose call every attempt to build a cache fails."""
    return lambda: monkeypatch.setattr(cache, "_build", lambda *_, **__: pytest.fail("built again"))


def test_photos_are_squashed_bicubically(photo_folder, tmp_path):
    photo_set = prepare(photo_folder, tmp_path / "cache")
    with Image.open(photo_folder / "01.png") as image:
        expected = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))
    assert photo_set.photos[0].name == "01.png" and np.array_equal(photo_set.pixels[0], expected)
    assert photo_set.pixels.shape == (12, 32, 32, 3) and photo_set.pixels.dtype == np.uint8


def test_photos_one_pixel_wide_or_high(photo_folder, tmp_path):
    line = np.random.default_rng(0).integers(0, 256, (300, 3)).repeat(100, axis=0).astype(np.uint8)
    Image.fromarray(line[:, None]).save(photo_folder / "high.png")
    Image.fromarray(line[None]).save(photo_folder / "wide.jpg", quality=95)
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert not photo_set.broken and len(photo_set.photos) == 14
    names = [photo.name for photo in photo_set.photos]
    high, wide = (photo_set.pixels[names.index(name)] for name in ("high.png", "wide.jpg"))
    assert (high == high[:, :1]).all() and (wide == wide[:1]).all()  # each row, or column, of one color
    assert np.abs(high[:, 0].astype(int) - wide[0].astype(int)).mean() < 10 < high[:, 0].std()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_pixels_stay_with_their_photos_whichever_are_broken(photo_folder, tmp_path, workers):
    for name in ("00.png", "05x.png", "05y.png", "zz.png"):  # first, two in a row, last
        (photo_folder / name).write_bytes(b"nothing")
    photo_set = prepare(photo_folder, tmp_path / "cache", workers=workers)
    assert len(photo_set.broken) == 4 and len(photo_set.photos) == 12
    for photo, pixels in zip(photo_set.photos, photo_set.pixels, strict=False):
        assert np.array_equal(pixels, squash(read_photo(photo), 32)), photo.name


def test_a_cache_is_used_again_until_its_photos_change(photo_folder, tmp_path, never_built):
    prepare(photo_folder, tmp_path / "cache")
    never_built()
    prepare(photo_folder, tmp_path / "cache")
    with pytest.raises(pytest.fail.Exception, match="built again"):
        prepare(photo_folder, tmp_path / "cache", size=48)
    (photo_folder / "new.png").write_bytes((photo_folder / "01.png").read_bytes())
    with pytest.raises(pytest.fail.Exception, match="built again"):
        prepare(photo_folder, tmp_path / "cache")


def test_a_photo_changed_in_its_place_is_decoded_again(photo_folder, tmp_path):
    prepare(photo_folder, tmp_path / "cache")
    with (photo_folder / "01.png").open("r+b") as file:  # its folder does not change
        file.truncate(0)
        Image.new("RGB", (9, 9), "red").save(file, "PNG")
    changed = prepare(photo_folder, tmp_path / "cache")
    assert (changed.pixels[0] == (255, 0, 0)).all() and changed.pixels[1].std() > 5
    assert len(list((tmp_path / "cache").iterdir())) == 1  # in place of the old one


def test_a_change_of_many_photos_is_noticed(photo_folder, tmp_path, monkeypatch):
    prepare(photo_folder, tmp_path / "cache")
    monkeypatch.setattr(cache, "LOOKED_AT", 11)
    monkeypatch.setattr(cache, "DRAWN", 6)
    for path in photo_folder.rglob("*.*"):
        os.utime(path, ns=(0, 0))
    monkeypatch.setattr(cache, "_build", lambda *_, **__: pytest.fail("built again"))
    with pytest.raises(pytest.fail.Exception, match="built again"):
        prepare(photo_folder, tmp_path / "cache")


def test_of_many_unchanged_photos_a_part_is_looked_at(photo_folder, tmp_path, monkeypatch):
    count = len(prepare(photo_folder, tmp_path / "cache").photos)
    looked, state = [], cache._state
    monkeypatch.setattr(cache, "_state", lambda photo: looked.append(photo) or state(photo))
    monkeypatch.setattr(cache, "LOOKED_AT", count)
    prepare(photo_folder, tmp_path / "cache")
    assert len(looked) == count
    looked.clear()
    monkeypatch.setattr(cache, "LOOKED_AT", count - 1)
    monkeypatch.setattr(cache, "DRAWN", 6)
    prepare(photo_folder, tmp_path / "cache")
    assert len(set(looked)) == len(looked) == 6


def test_a_photo_of_a_tar_that_has_changed(photo_folder, tmp_path):
    for color in ("red", "blue"):
        Image.new("RGB", (9, 9), color).save(photo_folder / "01.png")
        archive = shutil.make_archive(str(tmp_path / "photos"), "tar", photo_folder)
        os.utime(archive, ns=(len(color), len(color)))
        photo_set = prepare_photos(find_photos([Path(archive)]), 32, cache=tmp_path / "cache", workers=1)
        row = [photo.name.removeprefix("./") for photo in photo_set.photos].index("01.png")
        assert (photo_set.pixels[row] == ((255, 0, 0) if color == "red" else (0, 0, 255))).all()


def test_a_cache_that_was_damaged_is_built_again(photo_folder, tmp_path):
    whole = np.array(prepare(photo_folder, tmp_path / "cache").pixels)
    (folder,) = (tmp_path / "cache").iterdir()
    content, states = (folder / "photos.npy").read_bytes(), (folder / "states.npy").read_bytes()
    damages = [("photos.npy", content[:length]) for length in (0, 50, 5000, len(content) - 1)]
    damages += [("photos.npy", content.replace(b"(12, 32", b"(96, 32")), ("photos.npy", b"\x80" + content[1:])]
    damages += [("states.npy", states[:length]) for length in (0, 50, len(states) - 1)]
    damages += [("states.npy", states.replace(b"(12, 2)", b"(11, 2)"))]
    damages += [("index.json", text) for text in (b"", b"{}", b"[1]", b'{"near_gray": [], "broken": 3}')]
    for name, damaged in damages:
        (folder / name).write_bytes(damaged)
        assert np.array_equal(prepare(photo_folder, tmp_path / "cache").pixels, whole), (name, len(damaged))


def test_two_runs_may_build_one_cache_at_once(photo_folder, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        sets = list(pool.map(lambda _: prepare(photo_folder, tmp_path / "cache"), range(2)))
    assert np.array_equal(sets[0].pixels, sets[1].pixels) and sets[0].pixels.any()
    assert len(list((tmp_path / "cache").iterdir())) == 1  # no half-built folder is left


def test_a_cache_that_another_run_has_built_meanwhile_stays(photo_folder, tmp_path, monkeypatch):
    read, first = cache.read_photo, []

    def overtaken(photo):
        monkeypatch.setattr(cache, "read_photo", read)
        first.append(prepare(photo_folder, tmp_path / "cache"))
        return read(photo)

    monkeypatch.setattr(cache, "read_photo", overtaken)
    second = prepare(photo_folder, tmp_path / "cache", workers=0)
    assert np.array_equal(first[0].pixels, second.pixels)
    assert Path(first[0].pixels.filename).samefile(second.pixels.filename)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_build_leaves_nothing(photo_folder, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(cache, "read_photo", lambda photo: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(photo_folder, tmp_path / "cache", workers=workers)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_room_on_the_disk_only_the_index_is_kept(photo_folder, tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 990, 10))
    for _ in range(2):  # the second time from the index of the first
        assert prepare(photo_folder, tmp_path / "cache").pixels is None
        assert "has no room for 3.69e-05 GB" in capsys.readouterr().out
    monkeypatch.undo()
    assert prepare(photo_folder, tmp_path / "cache").pixels is not None  # there is room again


def test_a_limit_on_files_is_an_error_and_leaves_nothing(photo_folder, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            prepare(photo_folder, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room is not taken ahead on this system")
def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(photo_folder, tmp_path, monkeypatch):
    def full(file, offset, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError) as caught:
        prepare(photo_folder, tmp_path / "cache")
    assert caught.value.errno == errno.ENOSPC and list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="not Linux")
def test_all_room_is_taken_before_the_first_photo_is_decoded(photo_folder, tmp_path, monkeypatch):
    read, blocks = cache.read_photo, []

    def watching(photo):
        (file,) = (tmp_path / "cache").rglob("photos.npy")
        blocks.append(file.stat().st_blocks * 512)
        return read(photo)

    monkeypatch.setattr(cache, "read_photo", watching)
    prepare(photo_folder, tmp_path / "cache", workers=0, size=64)
    assert blocks[0] >= 12 * 64 * 64 * 3


def test_a_photo_that_can_be_read_again_is_taken_up(photo_folder, tmp_path, monkeypatch):
    read = cache.read_photo

    def fails(photo):
        if photo.name == "01.png":
            raise UserError(f"{photo.name}: no permission")
        return read(photo)

    monkeypatch.setattr(cache, "read_photo", fails)
    assert list(prepare(photo_folder, tmp_path / "cache").broken) == ["01.png"]
    monkeypatch.undo()
    mended = prepare(photo_folder, tmp_path / "cache")
    assert not mended.broken and len(mended.photos) == 12 and mended.pixels[0].any()


def test_a_broken_photo_is_named_and_left_out(photo_folder, tmp_path, capsys):
    (photo_folder / "05x.png").write_bytes(b"\x89PNG\r\n nothing more")
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert list(photo_set.broken) == ["05x.png"] and len(photo_set.photos) == 12
    assert "left out, broken: 05x.png" in capsys.readouterr().out


def test_too_many_broken_photos_stop(photo_folder, tmp_path):
    whole = prepare(photo_folder, tmp_path / "cache")
    (photo_folder / "bad.png").write_text("words")
    some_broken = prepare(photo_folder, tmp_path / "cache")
    with pytest.raises(UserError, match=r"1 of 13 photos are broken, more than 5%.*bad\.png"):
        refuse_broken(some_broken)
    refuse_broken(some_broken, whole)  # 1 of 25
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "bad.png").write_text("words")
    with pytest.raises(UserError, match=r"none of the 1 photos can be read.*bad\.png"):
        prepare(tmp_path / "only", tmp_path / "cache")


def test_how_much_color_a_photo_has_is_its_mean_spread_of_channels(real_photos):
    for photo in real_photos:
        spread = photo.astype(int).max(axis=2) - photo.astype(int).min(axis=2)
        assert mean_spread(photo) == pytest.approx(spread.mean(), rel=1e-12)


def test_near_gray_photos_are_counted_and_not_trained_on(photo_folder, tmp_path):
    Image.open(photo_folder / "01.png").convert("L").convert("RGB").save(photo_folder / "02gray.png")
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert photo_set.near_gray == {"02gray.png"} and len(photo_set.photos) == 13
    names = [photo_set.photos[row].name for row in photo_set.colored()]
    assert len(names) == 12 and "02gray.png" not in names


def test_gray_photos_only_are_told_so(tmp_path, real_photos):
    (tmp_path / "gray").mkdir()
    for number, photo in enumerate(real_photos[:3]):
        Image.fromarray(photo).convert("L").save(tmp_path / "gray" / f"{number}.png")
    with pytest.raises(UserError, match=r"none of the 3 photos has colors.*give color photos"):
        prepare(tmp_path / "gray", tmp_path / "cache").colored()


BUILD = """
import sys
from pathlib import Path
from pix2pix.data import cache
from pix2pix.data.photos import find_photos
from pix2pix.errors import run_script

def wait(photo):
    print("decoding", flush=True)
    import time
    time.sleep(0.1)
    return read(photo)

read, cache.read_photo = cache.read_photo, wait
run_script(lambda: cache.prepare_photos(find_photos([Path("photos")]), 32, cache=Path("cache"), workers=2) and None)
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_ends_the_build_at_once_and_leaves_nothing(photo_folder, tmp_path, real_photos, signal, code):
    import signal as signals

    for number in range(300):
        shutil.copy(photo_folder / "01.png", photo_folder / f"copy{number}.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", BUILD], cwd=tmp_path, env=environment, **pipes) as child:
        assert child.stdout.readline().startswith("decoding")  # two threads may say so at once
        child.send_signal(getattr(signals, signal))
        said, errors = child.communicate(timeout=60)  # to decode all takes 15 seconds
    assert child.returncode == code and "Traceback" not in errors and said.count("decoding") < 200  # of 312
    assert list((tmp_path / "cache").iterdir()) == []


def test_index_lists_the_broken_and_the_gray(photo_folder, tmp_path):
    (photo_folder / "bad.png").write_text("words")
    Image.new("RGB", (9, 9), "gray").save(photo_folder / "gray.png")
    prepare(photo_folder, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    index = json.loads((folder / "index.json").read_text())
    assert list(index["broken"]) == ["bad.png"] and index["near_gray"] == ["gray.png"]
