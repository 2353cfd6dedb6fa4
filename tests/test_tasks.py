"""photofile/tasks.py: which photos go where, and that nothing is left out without a word."""

import os
from pathlib import Path

import pytest

from pix2pix.errors import UserError
from pix2pix.photofile.tasks import STREAM, Task, names_a_file, plan_tasks


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff\xe0 a JPEG by its head")


def plan(*words, output=None):
    return plan_tasks([Path(word) for word in words], output and Path(output))


def pairs(made):
    return [(str(task.source), str(task.target)) for task in made.tasks]


def reasons(made):
    return [reason for _, reason in made.failed]


def test_photos_folders_and_streams():
    make("a.jpg", "scans/b.JPG", "scans/inner/c.tif", "scans/d.gif")
    made = plan("a.jpg", "scans")
    assert pairs(made) == [
        ("a.jpg", "a-colorized.jpg"),
        ("scans/b.JPG", "scans/b-colorized.JPG"),
        ("scans/d.gif", "scans/d-colorized.gif.png"),
        ("scans/inner/c.tif", "scans/inner/c-colorized.tif"),
    ]
    assert not made.failed and not made.remarks
    assert pairs(plan("scans/../scans/inner")) == [
        ("scans/../scans/inner/c.tif", "scans/../scans/inner/c-colorized.tif")
    ]
    made = plan("a.jpg", "scans", output="out")
    assert [target for _, target in pairs(made)] == ["out/a.jpg", "out/b.JPG", "out/d.gif.png", "out/inner/c.tif"]
    assert plan("-").tasks == [Task(STREAM, STREAM)]
    assert plan("-", output="c.png").tasks == [Task(STREAM, Path("c.png"))]
    with pytest.raises(UserError, match="standard input needs a file"):
        plan("-", output="out")


def test_one_photo_and_one_file():
    make("a.jpg", "b.jpg", "scans/c.jpg")
    assert pairs(plan("a.jpg", output="c.png")) == [("a.jpg", "c.png")]
    assert pairs(plan("a.jpg", "./a.jpg", output="c.png")) == [("a.jpg", "c.png")]
    with pytest.raises(UserError, match=r"2 photos cannot all be written to c\.png; give a folder with -o"):
        plan("a.jpg", "b.jpg", output="c.png")
    with pytest.raises(UserError, match=r"c\.png is one file and scans a folder"):
        plan("scans", output="c.png")


@pytest.mark.parametrize("name", ["c.jxl", "c.pdf", "c.TGA", "c.psd", "c.svg", "c.dng", "c.gif", "c.wav", "c.txt"])
def test_outputs_of_kinds_that_are_not_written(name):
    with pytest.raises(UserError, match=r"photos are written as \.jpg \.png"):
        names_a_file(Path(name))
    Path(name).mkdir()
    assert not names_a_file(Path(name))


def test_outputs_that_are_files_and_folders():
    assert names_a_file(Path("a/b.jpg")) and names_a_file(Path("c.TIFF"))
    assert not any(names_a_file(Path(name)) for name in ("out", "out.2024", "scans.v2", ".hidden", "a.b/c"))
    Path("photos.png").mkdir()
    assert not names_a_file(Path("photos.png"))
    make("plain.2024")
    with pytest.raises(UserError, match=r"cannot write plain\.2024"):
        names_a_file(Path("plain.2024"))


def test_an_output_that_this_installation_cannot_write(monkeypatch):
    def refuse(target):
        raise UserError(f"photos cannot be written as {target.suffix}")

    monkeypatch.setattr("pix2pix.photofile.tasks.holds_16_bits", refuse)
    with pytest.raises(UserError, match=r"cannot be written as \.heic"):
        names_a_file(Path("c.heic"))


def test_one_clash_does_not_stop_the_others():
    make("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/3.jpg", "c/4.gif", "c/4.gif.png")
    made = plan("a", "b", output="out")
    assert [source for source, _ in pairs(made)] == ["a/1.jpg", "a/2.jpg", "b/3.jpg"]
    (reason,) = reasons(made)
    assert reason.startswith("a/1.jpg and b/1.jpg would both be written to out/1.jpg; colorize the second alone")
    made = plan("c", output="out")
    assert len(made.tasks) == 1 and "c/4.gif and c/4.gif.png would both" in reasons(made)[0]
    made = plan("a/1.jpg", "b", output="a")
    assert pairs(made) == [("b/3.jpg", "a/3.jpg")]
    assert [reason.partition(";")[0] for reason in reasons(made)] == [
        "a/1.jpg would be written over itself",
        "b/1.jpg would be written over the photo a/1.jpg",
    ]
    with pytest.raises(UserError, match="the photos of a would be written over themselves"):
        plan("a", output="a")


def test_a_photo_named_twice_in_two_spellings_is_one_task():
    make("a/1.jpg")
    Path("link").symlink_to("a", target_is_directory=True)
    assert len(plan("a/1.jpg", "a/../a/1.jpg", str(Path("a/1.jpg").absolute()), "a").tasks) == 1
    assert len(plan("a", "link", output="out").tasks) == 1


def test_a_folder_of_colorized_photos_alone_is_said():
    make("a/1-colorized.jpg", "a/2-compared.png", "b/1.jpg", "out/a/3.jpg")
    made = plan("a")
    assert not made.tasks and not made.failed
    assert made.remarks == ["a holds nothing but colorized photos (2): nothing to do"]
    assert not plan("a", "b").remarks[1:] and len(plan("a", "b").tasks) == 1
    made = plan("out", output="out/a")
    assert not made.tasks and made.remarks == ["out holds nothing but colorized photos (1): nothing to do"]


def test_an_empty_folder_and_a_missing_photo_are_failures():
    Path("empty").mkdir()
    made = plan("empty", "gone.jpg", "none*.jpg")
    assert [str(source) for source, _ in made.failed] == ["empty", "gone.jpg", "none*.jpg"]
    assert reasons(made)[0].startswith("no photos in empty (looked for .jpg") and reasons(made)[1:] == [
        "there is no gone.jpg", "there is no none*.jpg",
    ]  # fmt: skip


def test_photos_without_a_suffix_are_found_by_how_they_begin():
    make("a/1.jpg", "a/IMG0001", "a/inner/IMG0002", "a/.hidden")
    Path("a/README").write_text("words")
    Path("a/empty").touch()
    os.mkfifo("a/pipe")
    made = plan("a")
    assert [source for source, _ in pairs(made)] == ["a/1.jpg", "a/IMG0001", "a/inner/IMG0002"]
    assert pairs(made)[1][1] == "a/IMG0001-colorized.png" and not made.remarks
    make("a/IMG0001-colorized.png")
    assert len(plan("a").tasks) == 3


def test_pictures_that_are_not_read_are_said():
    make("a/1.jpg", "a/raw.CR2", "a/raw2.cr2", "a/inner/picture.psd", "a/new.jxl")
    for name in ("notes.txt", "1.points.json", "Thumbs.db", ".hidden.psd"):
        Path("a", name).write_text("words")
    made = plan("a")
    assert pairs(made) == [("a/1.jpg", "a/1-colorized.jpg")] and not made.failed
    assert made.remarks == ["a: left out, since they cannot be read: 2 .cr2, 1 .jxl, 1 .psd"]


def test_folders_that_cannot_be_read_are_failures(locked):
    make("a/1.jpg", "a/locked/2.jpg", "a/open/3.jpg")
    made = plan("a")
    assert [source for source, _ in pairs(made)] == ["a/1.jpg", "a/open/3.jpg"]
    said = f"cannot read the folder {Path('a/locked').absolute()}: Permission denied; its photos are left out"
    assert reasons(made) == reasons(plan("a/locked")) == [said]


def test_links_to_folders_are_followed_once():
    make("scans/1.jpg", "elsewhere/2.jpg", "elsewhere/inner/3.jpg", "scans/z/4.jpg")
    Path("scans/a").symlink_to("../elsewhere", target_is_directory=True)
    Path("scans/b").symlink_to("z", target_is_directory=True)  # the folder itself comes before the link
    Path("scans/loop").symlink_to(".", target_is_directory=True)
    Path("elsewhere/up").symlink_to("../scans", target_is_directory=True)
    Path("scans/nothing").symlink_to("gone", target_is_directory=True)
    sources = [source for source, _ in pairs(plan("scans"))]
    assert sources == ["scans/1.jpg", "scans/z/4.jpg", "scans/a/2.jpg", "scans/a/inner/3.jpg"]
