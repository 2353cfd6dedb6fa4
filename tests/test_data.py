import errno
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix.data import cache
from pix2pix.data.cache import prepare_photos, refuse_broken, squash
from pix2pix.data.dataset import ColorizationDataset, batches, choose_photos, epoch_order, split_names
from pix2pix.data.photos import find_photos, read_photo
from pix2pix.errors import UserError
from pix2pix.locks import built_in


def prepare(folder, where, size=32, workers=1):
    return prepare_photos(find_photos([folder]), size, cache=where, workers=workers)


def test_photos_are_squashed_bicubically(photo_folder, tmp_path):
    photo_set = prepare(photo_folder, tmp_path / "cache")
    dataset = ColorizationDataset(photo_set)
    assert len(dataset) == 12 and dataset[0].shape == (3, 32, 32) and dataset[0].dtype == torch.uint8
    with Image.open(photo_folder / "01.png") as image:
        expected = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))
    assert dataset.photo_set.photos[0].name == "01.png" and np.array_equal(dataset[0].permute(1, 2, 0), expected)


def test_photos_one_pixel_wide_or_high(photo_folder, tmp_path):
    line = np.random.default_rng(0).integers(0, 256, (300, 3)).repeat(100, axis=0).astype(np.uint8)
    Image.fromarray(line[:, None]).save(photo_folder / "high.png")
    Image.fromarray(line[None]).save(photo_folder / "wide.jpg", quality=95)
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert not photo_set.broken and len(photo_set.photos) == 14
    high, wide = (
        photo_set.pixels[[photo.name for photo in photo_set.photos].index(n)] for n in ("high.png", "wide.jpg")
    )
    assert (high == high[:, :1]).all() and (wide == wide[:1]).all()  # each row, or column, of one colour
    assert np.abs(high[:, 0].astype(int) - wide[0].astype(int)).mean() < 10 < high[:, 0].std()


def test_a_cache_is_used_again_until_its_photos_change(photo_folder, tmp_path, monkeypatch):
    prepare(photo_folder, tmp_path / "cache")
    monkeypatch.setattr(cache, "_build", lambda *_, **__: pytest.fail("built again"))
    prepare(photo_folder, tmp_path / "cache")
    with pytest.raises(pytest.fail.Exception, match="built again"):
        prepare(photo_folder, tmp_path / "cache", size=48)
    Image.new("RGB", (9, 9), "red").save(photo_folder / "01.png")
    with pytest.raises(pytest.fail.Exception, match="built again"):
        prepare(photo_folder, tmp_path / "cache")


def test_two_runs_may_build_one_cache_at_once(photo_folder, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        sets = list(pool.map(lambda _: prepare(photo_folder, tmp_path / "cache", workers=0), range(2)))
    assert np.array_equal(sets[0].pixels, sets[1].pixels) and sets[0].pixels.any()
    assert len(list((tmp_path / "cache").iterdir())) == 1  # no half-built folder is left


def test_a_cache_that_was_damaged_is_built_again(photo_folder, tmp_path):
    whole = np.array(prepare(photo_folder, tmp_path / "cache").pixels)
    (folder,) = (tmp_path / "cache").iterdir()
    content = (folder / "photos.npy").read_bytes()
    damages = [("photos.npy", content[:length]) for length in (0, 50, 5000, len(content) - 1)]
    damages += [("photos.npy", content.replace(b"(12, 32", b"(96, 32")), ("photos.npy", b"\x80" + content[1:])]
    damages += [("index.json", text) for text in (b"", b"{}", b"[1]", b'{"near_gray": [], "broken": 3}')]
    for name, damaged in damages:
        (folder / name).write_bytes(damaged)
        assert np.array_equal(prepare(photo_folder, tmp_path / "cache").pixels, whole)


def test_what_a_killed_build_left_is_removed_but_never_a_live_ones(photo_folder, tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    killed = tmp_path / "cache" / ".256px-0123456789abcdef-abcd_123"
    others = tmp_path / "cache" / ".256px of mine"
    for folder in (killed, others):
        folder.mkdir(parents=True)
        (folder / "photos.npy").touch()
    with built_in(tmp_path / "cache"):  # in use since before
        prepare(photo_folder, tmp_path / "cache")
        live = tmp_path / "cache" / ".256px-0123456789abcdef-live_123"
        live.mkdir()
        prepare(photo_folder, tmp_path / "cache", size=48)
        assert live.exists()
    prepare(photo_folder, tmp_path / "cache", size=64)
    assert not killed.exists() and not live.exists() and others.exists()


def test_a_cache_that_another_run_has_built_meanwhile_stays(photo_folder, tmp_path, monkeypatch):
    colour = cache._colour

    def slow(pixels):
        monkeypatch.setattr(cache, "_colour", colour)
        first.append(prepare(photo_folder, tmp_path / "cache"))
        return colour(pixels)

    first = []
    monkeypatch.setattr(cache, "_colour", slow)
    second = prepare(photo_folder, tmp_path / "cache")
    assert np.array_equal(first[0].pixels, second.pixels)
    assert Path(first[0].pixels.filename).samefile(second.pixels.filename)


def test_a_failed_build_leaves_nothing(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_decode", lambda task: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(photo_folder, tmp_path / "cache", workers=0)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_room_on_the_disk_photos_are_decoded_each_time(photo_folder, tmp_path, monkeypatch, capsys):
    cached = ColorizationDataset(prepare(photo_folder, tmp_path / "cache"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 990, 10))
    for _ in range(2):  # the second time from the index of the first
        small = ColorizationDataset(prepare(photo_folder, tmp_path / "elsewhere"))
        assert "has no room" in capsys.readouterr().out
    assert small.photo_set.pixels is None
    order = [[3, 1, 2, 5], [0, 7, 6, 4]]
    for one, other in zip(batches(small, order, workers=1), batches(cached, order), strict=True):
        assert torch.equal(one, other)
    monkeypatch.undo()
    assert prepare(photo_folder, tmp_path / "elsewhere").pixels is not None  # there is room again


def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(photo_folder, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            prepare(photo_folder, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_a_disk_that_fills_up_with_pixels_is_an_error_of_the_main_process(photo_folder, workers):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    tasks = (cache._Task(photo, 32, full, 0) for photo in find_photos([photo_folder]))
    with pytest.raises(OSError) as caught:
        list(cache._decode_all(tasks, workers))
    assert caught.value.errno == errno.ENOSPC


def test_a_photo_that_can_be_read_again_is_taken_up(photo_folder, tmp_path, monkeypatch):
    read = cache.read_photo

    def fails(photo):
        raise UserError(f"{photo.name}: no permission")

    monkeypatch.setattr(cache, "read_photo", lambda photo: (fails if photo.name == "01.png" else read)(photo))
    assert list(prepare(photo_folder, tmp_path / "cache").broken) == ["01.png"]
    monkeypatch.undo()
    mended = prepare(photo_folder, tmp_path / "cache")
    assert not mended.broken and len(mended.photos) == 12 and mended.pixels[0].any()


def test_colour_of_a_photo_equals_its_mean_spread_of_channels(real_photos):
    for photo in real_photos:
        spread = photo.astype(int).max(axis=2) - photo.astype(int).min(axis=2)
        assert cache._colour(photo) == pytest.approx(spread.mean(), rel=1e-12)


def test_near_gray_photos_are_counted_and_not_trained_on(photo_folder, tmp_path):
    Image.open(photo_folder / "01.png").convert("L").convert("RGB").save(photo_folder / "gray.png")
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert photo_set.near_gray == {"gray.png"}
    training = ColorizationDataset(photo_set, photo_set.colored())
    assert len(training) == 12 and "gray.png" not in [training.photo_set.photos[row].name for row in training.rows]


def test_a_broken_photo_is_named_and_left_out(photo_folder, tmp_path, capsys, real_photos):
    for copy in range(20):
        Image.fromarray(real_photos[0]).save(photo_folder / f"copy{copy}.png")
    (photo_folder / "05x.png").write_bytes(b"\x89PNG\r\n nothing more")
    photo_set = prepare(photo_folder, tmp_path / "cache")
    assert list(photo_set.broken) == ["05x.png"] and len(photo_set.photos) == 32
    assert "05x.png" in capsys.readouterr().out
    dataset = ColorizationDataset(photo_set)
    row = [photo.name for photo in photo_set.photos].index("07.png")  # behind the broken one
    with Image.open(photo_folder / "07.png") as image:
        assert np.array_equal(dataset[row].permute(1, 2, 0), squash(image, 32))


@pytest.mark.parametrize("workers", [0, 2])
def test_pixels_stay_with_their_photos_whichever_are_broken(photo_folder, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(cache, "IN_PROCESS", 0)
    for name in ("00.png", "05x.png", "05y.png", "zz.png"):  # first, two in a row, last
        (photo_folder / name).write_bytes(b"nothing")
    photo_set = prepare(photo_folder, tmp_path / "cache", workers=workers)
    assert len(photo_set.broken) == 4 and len(photo_set.photos) == 12
    for photo, pixels in zip(photo_set.photos, photo_set.pixels, strict=False):
        assert np.array_equal(pixels, squash(read_photo(photo), 32)), photo.name


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


def test_an_epoch_is_a_shuffle_of_whole_batches():
    order = epoch_order(11, 4, seed=5, epoch=0)
    flat = [index for indices in order for index in indices]
    assert [len(indices) for indices in order] == [4, 4]
    assert len(set(flat)) == 8 and set(flat) <= set(range(11)) and flat != sorted(flat)
    assert order == epoch_order(11, 4, seed=5, epoch=0)
    assert order != epoch_order(11, 4, seed=5, epoch=1) and order != epoch_order(11, 4, seed=6, epoch=0)


def test_a_split_is_the_same_for_the_same_seed_and_shares_nothing():
    names = [f"{number}.jpg" for number in range(20)]
    train, validation = split_names(names, validation=5, seed=98)
    assert len(validation) == 5 and sorted(train + validation) == sorted(names)
    assert (train, validation) == split_names(names[::-1], validation=5, seed=98)
    assert validation != split_names(names, validation=5, seed=99)[1]


def test_a_photo_that_is_gone_is_named(photo_folder):
    chosen = choose_photos([photo_folder], ["inner/02.jpg", "01.png"])
    assert [photo.name for photo in chosen] == ["inner/02.jpg", "01.png"]
    (photo_folder / "01.png").unlink()
    with pytest.raises(UserError, match=r"1 of the run's photos are no longer in .*: 01\.png"):
        choose_photos([photo_folder], ["inner/02.jpg", "01.png"])


def test_worker_processes_build_the_same_cache(photo_folder, tmp_path, monkeypatch):
    alone = prepare(photo_folder, tmp_path / "one", workers=0)
    monkeypatch.setattr(cache, "IN_PROCESS", 0)
    together = prepare(photo_folder, tmp_path / "two", workers=2)
    assert np.array_equal(alone.pixels, together.pixels)
    assert [photo.name for photo in alone.photos] == [photo.name for photo in together.photos]
