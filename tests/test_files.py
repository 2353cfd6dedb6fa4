"""files.py: files whole or not at all, on disks with limits and without permissions to change."""

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pix2pix.errors import UserError
from pix2pix.files import append_json_line, read_json_lines, refuse_special, replacing, walk_files, write_json


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "photo.png"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png" and temporary.name.startswith(".photo-")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "photo.png"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".png", "写" * 83 + ".png", "é" * 125 + ".jpeg", "a.b" * 83 + ".tif", "s.png", "plain"]
)
def test_temporary_names_fit_where_the_final_name_does(tmp_path, name):
    path = tmp_path / name
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert len(os.fsencode(temporary.name)) <= max(len(os.fsencode(name)), 60)
        temporary.name.encode()  # whole characters
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_permissions_are_those_of_any_new_file_and_are_never_changed(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    for place in (os, Path):
        monkeypatch.setattr(place, "chmod", refuse)  # as CIFS and FUSE may
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "photo.png") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "photo.png").stat().st_mode) == 0o640


def test_threads_write_one_file_one_after_the_other(tmp_path):
    start = threading.Barrier(8)

    def write(number):
        start.wait(timeout=30)
        with replacing(tmp_path / "photo.png") as temporary:
            temporary.write_text(str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(set((tmp_path / "photo.png").read_text())) == 1
    assert len(list(tmp_path.iterdir())) == 1
    mask = os.umask(0o022)
    os.umask(mask)
    assert mask != 0  # threads that ask for it by setting it could lose it


def test_a_folder_that_is_missing_is_an_error_and_not_made(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "gone" / "photo.png"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_no_regular_file_is_refused_by_its_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match=r"a is a folder, not a file to read"):
        refuse_special(tmp_path, "a")
    with pytest.raises(UserError, match=r"b is no regular file"):
        refuse_special(tmp_path / "pipe.png", "b")
    refuse_special(tmp_path / "gone.png", "c")


def test_json_files(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, 2]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, 2]}
    lines = tmp_path / "lines.jsonl"
    assert read_json_lines(lines) == []
    for number in range(3):
        append_json_line(lines, {"step": number})
    with lines.open("a") as file:
        file.write('{"step": 3')  # a killed run's last line
    assert [line["step"] for line in read_json_lines(lines)] == [0, 1, 2]


def test_walking_follows_links_last_and_once(tmp_path):
    for name in ("a/1", "a/b/2", "z/3", "y/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "ahead").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "out").symlink_to(tmp_path / "z")
    (tmp_path / "a" / "nothing").symlink_to(tmp_path / "gone")
    problems = []
    found = [os.path.relpath(f"{place}/{file}", tmp_path)
             for place, files in walk_files(tmp_path / "a", problems) for file in files]  # fmt: skip
    assert found == ["a/1", "a/nothing", "a/b/2", "a/loop/y/4", "a/loop/z/3"] and not problems


def test_folders_that_cannot_be_read_are_named(tmp_path, locked):
    (tmp_path / "locked").mkdir()
    (tmp_path / "open").touch()
    problems = []
    assert list(walk_files(tmp_path, problems)) == [(str(tmp_path), ["open"])]
    assert problems == [f"cannot read the folder {tmp_path / 'locked'}: Permission denied"]
