"""The cache's folders: whole or absent, what killed builds left, and caches that cannot be written."""

import errno
import os
from pathlib import Path

import pytest

from pix2pix.data.building import building, cache_folder
from pix2pix.errors import UserError


def test_a_folder_is_there_when_it_is_whole(tmp_path):
    with building(tmp_path / "32px-0123456789abcdef") as temporary:
        (temporary / "file").write_text("whole")
        assert not (tmp_path / "32px-0123456789abcdef").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["32px-0123456789abcdef", "file"]


def test_an_error_leaves_what_was_there_and_nothing_more(tmp_path):
    folder = tmp_path / "coco_sample"
    for before in (None, "old"):
        if before:
            folder.mkdir()
            (folder / before).touch()
        with pytest.raises(KeyboardInterrupt), building(folder) as temporary:
            (temporary / "new").touch()
            raise KeyboardInterrupt
        assert [path.name for path in tmp_path.rglob("*")] == (["coco_sample", "old"] if before else [])


def test_an_older_folder_is_replaced_and_a_newer_one_stays(tmp_path):
    folder = tmp_path / "coco_sample"
    for name in ("old", "new"):
        with building(folder) as temporary:
            (temporary / name).touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    with building(folder) as mine:
        (mine / "mine").touch()
        with building(folder) as theirs:
            (theirs / "theirs").touch()
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["coco_sample"]


def test_what_a_killed_build_left_is_removed_but_never_a_live_ones(tmp_path):
    pytest.importorskip("fcntl")
    killed = [tmp_path / f".{name}" for name in ("256px-0123456789abcdef-abcd_123", "coco_sample-12345678")]
    others = [tmp_path / name for name in (".256px of mine", "coco_sample-mine", "1024px-0123456789abcdef")]
    for path in (*killed, *others):
        path.mkdir()
        (path / "photos.npy").touch()
    with building(tmp_path / "32px-0123456789abcdef"):
        assert not any(path.exists() for path in killed)
        (live,) = (path for path in tmp_path.iterdir() if path.name.startswith(".32px"))
        with building(tmp_path / "48px-0123456789abcdef"):
            assert live.exists()
    assert all(path.exists() for path in others)


def test_the_home_folder_is_resolved_and_the_cache_made(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_folder(Path("~/a/b")) == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()
    monkeypatch.chdir(tmp_path)
    assert cache_folder(Path("c")) == tmp_path / "c"


def test_an_unknown_user_without_a_home_is_told_of_cache(monkeypatch):
    pwd = pytest.importorskip("pwd")

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    with pytest.raises(UserError, match=r"there is no home folder.*~/\.cache/pix2pix.*--cache FOLDER"):
        cache_folder(Path("~/.cache/pix2pix"))


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_named_with_cache(tmp_path, monkeypatch, refusal):
    def refuse(*words, **options):
        raise OSError(refusal, os.strerror(refusal))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        with pytest.raises(UserError, match=r"cannot make the folder .*new.*--cache FOLDER"):
            cache_folder(tmp_path / "new")
        with pytest.raises(UserError, match=r"cannot write to .*--cache FOLDER"), building(tmp_path / "coco_sample"):
            pass
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(UserError, match=r"cannot make the folder .*file.*--cache FOLDER"):
            cache_folder(path)
