"""What large sets of folders held is remembered, and never wrongly."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pix2pix.data import listings
from pix2pix.data.photos import find_photos


@pytest.fixture
def remembering(monkeypatch):
    """Few photos are many, and folders are settled at once. Gives the folders listed since the last look."""
    monkeypatch.setattr(listings, "MANY", 2)
    monkeypatch.setattr(listings, "SETTLED", -60)
    listed = []
    plain = listings.list_folder
    monkeypatch.setattr(listings, "list_folder", lambda place: listed.append(Path(place).name) or plain(place))

    def since() -> list[str]:
        found = listed.copy()
        listed.clear()
        return found

    return since


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.jpg", "a/é 2.png", "a/note.txt", "b/.3.jpg", "b/c/4.JPG", "empty/x.md"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


def tick(*folders):
    """Changes folders' times, as a change does on disks whose clock is finer than tests are fast."""
    for folder in folders:
        time = folder.stat().st_mtime_ns + 10**9
        os.utime(folder, ns=(time, time))


def names(folder, cache):
    return [photo.name for photo in find_photos([folder], cache=cache)]


def test_folders_that_have_not_changed_are_not_listed_again(folder, tmp_path, remembering):
    plain = find_photos([folder])
    assert find_photos([folder], cache=tmp_path / "cache") == plain
    assert [photo.name for photo in plain] == ["a/1.jpg", "a/é 2.png", "b/c/4.JPG"]
    assert sorted(remembering()) == ["a", "b", "c", "empty", "photos"]
    assert find_photos([folder], cache=tmp_path / "cache") == plain
    assert remembering() == []


def test_what_is_new_gone_or_renamed_is_noticed(folder, tmp_path, remembering):
    names(folder, tmp_path / "cache")
    remembering()
    (folder / "a" / "5.jpg").touch()
    tick(folder / "a")
    assert names(folder, tmp_path / "cache") == ["a/1.jpg", "a/5.jpg", "a/é 2.png", "b/c/4.JPG"]
    assert remembering() == ["a"]
    (folder / "a" / "1.jpg").unlink()
    (folder / "b" / "c" / "4.JPG").rename(folder / "b" / "c" / "6.jpg")
    tick(folder / "a", folder / "b" / "c")
    assert names(folder, tmp_path / "cache") == ["a/5.jpg", "a/é 2.png", "b/c/6.jpg"]
    (folder / "b").rename(folder / "d")
    tick(folder)
    assert names(folder, tmp_path / "cache") == ["a/5.jpg", "a/é 2.png", "d/c/6.jpg"]


def test_few_photos_and_fresh_folders_are_not_remembered(folder, tmp_path, remembering, monkeypatch):
    monkeypatch.setattr(listings, "MANY", 6)  # the six files
    names(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    monkeypatch.setattr(listings, "MANY", 5)
    monkeypatch.setattr(listings, "SETTLED", 3600)  # they might change again within the same tick of the disk's clock
    names(folder, tmp_path / "cache")
    remembering()
    names(folder, tmp_path / "cache")
    assert sorted(remembering()) == ["a", "b", "c", "empty", "photos"]


def test_a_folder_with_links_is_listed_anew(folder, tmp_path, remembering):
    """What a link leads to may change without its folder's time."""
    (folder / "b" / "link").symlink_to(tmp_path / "outside")
    names(folder, tmp_path / "cache")
    remembering()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "7.jpg").touch()
    assert "b/link/7.jpg" in names(folder, tmp_path / "cache")
    assert remembering() == ["b", "link"]


def test_a_disk_that_keeps_its_folders_times_does_not_stop_a_training(folder, tmp_path, remembering):
    names(folder, tmp_path / "cache")
    for name in ("b/c/4.JPG", "b/c", "b/.3.jpg", "b"):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()
    (file,) = (tmp_path / "cache").iterdir()
    content, stat = json.loads(file.read_text()), folder.stat()
    content["folders"][str(folder)][0] = [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size]
    file.write_text(json.dumps(content))
    assert names(folder, tmp_path / "cache") == ["a/1.jpg", "a/é 2.png"]
    assert names(folder, tmp_path / "cache") == ["a/1.jpg", "a/é 2.png"]


def test_a_cache_that_cannot_be_written_keeps_no_memory(folder, tmp_path, remembering, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(listings, "replacing", refuse)
    assert names(folder, tmp_path / "cache") == ["a/1.jpg", "a/é 2.png", "b/c/4.JPG"]
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", "[[1, 2]]", "3", '{"x": 1}', "null", '{"format": 2}'])
def test_a_damaged_memory_is_none(folder, tmp_path, remembering, content):
    whole = names(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(content)
    assert names(folder, tmp_path / "cache") == whole
    assert names(folder, tmp_path / "cache") == whole


def test_a_damaged_entry_is_listed_anew(folder, tmp_path, remembering):
    whole = names(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    content = json.loads(file.read_text())
    state, folders, files = content["folders"][str(folder / "a")]
    for damaged in (1, [], None, "abc", [state, folders], [state, folders, [files]], [state, [1], files], [1, [], ""]):
        file.write_text(json.dumps(content | {"folders": {str(folder / "a"): damaged}}))
        assert names(folder, tmp_path / "cache") == whole, damaged
