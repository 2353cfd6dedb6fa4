"""Films on the command line: folders, names, points beside a film, and flags that are for films alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from film_files import StubColorizer, read_frames, write_film

from pix2pix import command
from pix2pix.photofile.films import added_suffix, is_film


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setattr(command, "Colorizer", lambda *_, strength, **__: StubColorizer(strength=strength))


def test_films_are_known_by_their_suffix():
    assert is_film(Path("A.MP4")) and is_film(Path("b.avi")) and not is_film(Path("c.gif"))
    assert [added_suffix(Path(name)) for name in ("a.mp4", "b.mkv", "c.avi", "d.webm")] == ["", "", ".mkv", ".mkv"]


def test_a_film_beside_itself_then_left_alone(run, tmp_path):
    write_film(tmp_path / "film.mkv", 3)
    code, output, _ = run("colorize.py", "film.mkv")
    assert code == 0 and "film.mkv -> film-colorized.mkv: 3 frames" in output
    assert len(read_frames(tmp_path / "film-colorized.mkv")) == 3
    code, output, _ = run("colorize.py", "film.mkv", "--json")
    assert code == 0 and json.loads(output)["status"] == "skipped"


def test_folders_of_films_and_points_beside_one(run, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_film(tmp_path / "in" / "deep" / "a.mkv", 3)
    write_film(tmp_path / "in" / "b.avi", 3, codec="mpeg4")
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no film")
    points = {"points": [{"x": 40, "y": 24, "color": "blue", "radius": 6, "frame": 1}]}
    (tmp_path / "in" / "deep" / "a.points.json").write_text(json.dumps(points))
    code, output, errors = run("colorize.py", "in", "-o", "out")
    assert code == 1 and "broken.mp4: it is no film" in errors and "with 1 point of a.points.json" in output
    assert len(read_frames(tmp_path / "out" / "b.avi.mkv")) == 3
    blue = [np.frombuffer(memoryview(f.planes[1]), np.uint8).max() for f in read_frames(tmp_path / "out/deep/a.mkv")]
    assert blue[0] <= 129 < 140 < blue[1]  # 128 is no color


def test_a_result_in_a_folder_is_no_source(run, tmp_path):
    (tmp_path / "in").mkdir()
    write_film(tmp_path / "in" / "b.avi", 2, codec="mpeg4")
    assert run("colorize.py", "in")[0] == run("colorize.py", "in")[0] == 0
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["b-colorized.avi.mkv", "b.avi"]


def test_output_file_codec_and_crf(run, tmp_path):
    write_film(tmp_path / "film.mkv", 2)
    assert run("colorize.py", "film.mkv", "-o", "new.mp4", "--crf", "30")[0] == 0
    assert read_frames(tmp_path / "new.mp4")
    assert run("colorize.py", "film.mkv", "-o", "other.mkv", "--codec", "ffv1")[0] == 0
    assert run("colorize.py", "film.mkv", "-o", "other.jpg")[0] == 1


def test_flags_of_films_need_a_film(refused, tmp_path, photo_folder):
    assert "--codec and --crf are for films" in refused("colorize.py", photo_folder / "01.png", "--crf", "20")
