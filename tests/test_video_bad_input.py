"""Films that cannot be read, or only in part: one line each, and nothing half-written."""

import sys
from pathlib import Path

import film_files
import numpy as np
import pytest
from film_files import StubColorizer, read_frames, write_film

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.video import writing
from pix2pix.video.ahead import ahead
from pix2pix.video.colorize import colorize_film
from pix2pix.video.writing import Encoder

av = film_files.av


def color(folder, name, **options):
    colorizer = options.pop("colorizer", StubColorizer())
    return colorize_film(colorizer, folder / name, folder / "new.mkv", name=name, show_progress=False, **options)


def refused(folder, name, words, **options):
    with pytest.raises(UserError, match=words):
        color(folder, name, **options)
    assert not (folder / "new.mkv").exists() and not list(folder.glob(".*"))


def test_what_is_no_film(tmp_path):
    (tmp_path / "text.mp4").write_text("not a film\n" * 50)
    (tmp_path / "empty.mkv").touch()
    refused(tmp_path, "text.mp4", "text.mp4: it is no film, or was cut off")
    refused(tmp_path, "empty.mkv", "no film")
    refused(tmp_path, "missing.mkv", "cannot read missing.mkv")
    refused(tmp_path, ".", "folder")


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "song.mkv"), "w") as file:
        film_files._write_sound(file, file.add_stream("aac", rate=48000))
    refused(tmp_path, "song.mkv", "no video stream")


def test_no_frames(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as file:
        file.add_stream("ffv1", rate=25, width=64, height=48)
        film_files._write_sound(file, file.add_stream("aac", rate=48000))
    refused(tmp_path, "film.mkv", "no frame")


def test_a_film_that_is_cut_off_is_colorized_as_far_as_it_goes(tmp_path):
    write_film(tmp_path / "whole.mkv", 12, rate=2, codec="ffv1")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(content[: len(content) // 2])
    notes = "; ".join(color(tmp_path, "film.mkv"))
    assert "cut off" in notes and "of its 6.0 seconds" in notes
    assert 3 <= len(read_frames(tmp_path / "new.mkv")) <= 8


def test_damaged_frames_are_counted(tmp_path):
    write_film(tmp_path / "film.mkv", 10, codec="ffv1")
    content = bytearray((tmp_path / "film.mkv").read_bytes())
    for start in (len(content) // 3, len(content) // 2):
        content[start : start + 300] = bytes(300)
    (tmp_path / "film.mkv").write_bytes(content)
    notes = "; ".join(color(tmp_path, "film.mkv"))
    assert len(read_frames(tmp_path / "new.mkv")) >= 5, notes


def test_frames_that_are_too_large(tmp_path):
    write_film(tmp_path / "film.mkv", 1)
    refused(tmp_path, "film.mkv", "64x48 pixels, more than 0.001 million", max_pixels=1000)


def test_a_name_with_a_colon_is_a_name_and_no_protocol(tmp_path, monkeypatch):
    write_film(tmp_path / "film.mkv", 2)
    (tmp_path / "film.mkv").rename(tmp_path / "12:30 talk.mkv")
    monkeypatch.chdir(tmp_path)
    colorize_film(StubColorizer(), Path("12:30 talk.mkv"), Path("file:new.mkv"), name="talk", show_progress=False)
    assert len(read_frames(tmp_path / "file:new.mkv")) == 2


def test_an_encoder_that_fails_in_the_middle_is_named(tmp_path, monkeypatch):
    class Failing:
        """A video stream whose encoder gives up at the third frame."""

        def __init__(self, stream):
            self.stream, self.left = stream, 2

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def encode(self, frame):
            self.left -= 1
            if self.left < 0:
                raise av.error.ExternalError(542398533, "Generic error in an external library")
            return self.stream.encode(frame)

    make = writing.Writer._add_video
    monkeypatch.setattr(writing.Writer, "_add_video", lambda *words: Failing(make(*words)))
    write_film(tmp_path / "film.mkv", 5)
    refused(tmp_path, "film.mkv", "external library")


def test_points_outside_the_frames_or_after_the_end(tmp_path):
    write_film(tmp_path / "film.mkv", 5)
    refused(tmp_path, "film.mkv", "lies outside film.mkv, which has 64x48", points=[Point(64, 10, "red")])
    refused(tmp_path, "film.mkv", "lasts 0.20", points=[Point(6, 10, "red", time=9)])
    refused(
        tmp_path, "film.mkv", "takes none", points=[Point(6, 1, "red")], colorizer=StubColorizer(takes_points=False)
    )
    notes = color(tmp_path, "film.mkv", points=[Point(6, 10, "red", frame=99)])
    assert any("after its last frame" in note for note in notes)


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).integers(0, 255, (6, 48, 64)).astype(np.uint8)
    write_film(tmp_path / "film.mkv", noise)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))  # no file may be larger
    try:
        refused(tmp_path, "film.mkv", "the disk is full", encoder=Encoder(crf=0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_pyav_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "film.mkv").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r'pip install -e "\.\[video\]"'):
        color(tmp_path, "film.mkv")


def test_encoders_options():
    assert Encoder(crf=20).options()["crf"] == "20"
    assert Encoder("libx264").options()["crf"] == "16"
    assert Encoder("h264_nvenc", crf=21).options() == {"cq": "21"}
    assert Encoder("ffv1").options() == {}


def test_work_ahead_is_bounded_stops_and_passes_errors_on():
    made = []

    def numbers():
        for number in range(100):
            made.append(number)
            yield number

    with ahead(numbers(), 3, computing=1) as items:
        assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(made) <= 5 + 3 + 2

    def failing():
        yield 1
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"), ahead(failing(), 3, computing=1) as items:
        list(items)
