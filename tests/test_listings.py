"""What large sets of folders held is remembered, and never wrongly."""

from __future__ import annotations

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
    monkeypatch.setattr(
        listings, "list_folder", lambda place, stat: listed.append(Path(place).name) or plain(place, stat)
    )

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
    assert names(folder, tmp_path / "cache") == ["a/1.jpg", "a/5.jpg", "a/é 2.png", "b/c/4.JPG"]
    assert remembering() == ["a"]
    (folder / "a" / "1.jpg").unlink()
    (folder / "b" / "c" / "4.JPG").rename(folder / "b" / "c" / "6.jpg")
    assert names(folder, tmp_path / "cache") == ["a/5.jpg", "a/é 2.png", "b/c/6.jpg"]
    (folder / "b").rename(folder / "d")
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


@pytest.mark.parametrize("content", ["", "{", "[]", "[[1, 2]]", "3", '{"x": 1}', "null"])
def test_a_damaged_memory_is_none(folder, tmp_path, remembering, content):
    whole = names(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(content)
    assert names(folder, tmp_path / "cache") == whole
    assert names(folder, tmp_path / "cache") == whole


def test_a_damaged_entry_is_listed_anew(folder, tmp_path, remembering):
    whole = names(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    for damaged in ("1", "[]", "null", "[[0, 0], 1, 2]", '"abc"'):
        file.write_text(f'{{"{folder / "a"}": {damaged}}}')
        assert names(folder, tmp_path / "cache") == whole, damaged
