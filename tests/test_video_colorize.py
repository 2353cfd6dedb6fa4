"""Whole films: what is in the new file, beside what was in the old one."""

import os
import threading
import time
from fractions import Fraction

import film_files
import numpy as np
import pytest
import torch
from film_files import StubColorizer, luma_plane, packets_of, read_frames, write_film

from pix2pix.color import lab_to_rgb_in_gamut, rgb_to_lab
from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.video.colorize import colorize_film, remove_unfinished
from pix2pix.video.steady import each_alone, steady_colors
from pix2pix.video.writing import Encoder

av = film_files.av
LOSSLESS = Encoder(crf=0)


def colorized(folder, name, *, target=None, colorizer=None, **options):
    """Colorize a film of a folder; its new path, and the notes."""
    path = folder / (target or f"new-{name}")
    options = {"encoder": LOSSLESS, "show_progress": False} | options
    return path, colorize_film(colorizer or StubColorizer(), folder / name, path, name=name, **options)


@pytest.mark.parametrize(
    ("format", "encoder", "wanted"),
    [
        ("yuv420p", "libx264", "yuv420p"),
        ("gray", "libx264", "yuv420p"),
        ("yuva420p", "libx264", "yuv420p"),
        ("yuv422p10le", "ffv1", "yuv422p10le"),
        ("yuv420p12le", "ffv1", "yuv420p12le"),
    ],
)
def test_luma_stays_as_it_was_decoded(tmp_path, format, encoder, wanted):
    lumas = write_film(tmp_path / "film.mkv", 3, format=format)
    path, _ = colorized(tmp_path, "film.mkv", encoder=LOSSLESS if encoder == "libx264" else Encoder(encoder))
    new = read_frames(path)
    assert new[0].format.name.replace("yuvj", "yuv") == wanted
    assert all(np.array_equal(luma, luma_plane(frame)) for luma, frame in zip(lumas, new, strict=True))


def test_ten_bits_stay_ten_bits_in_h264_and_twelve_become_ten(tmp_path):
    for format, words in (("yuv420p10le", ""), ("yuv420p12le", "its 12 bits are written as 10")):
        lumas = write_film(tmp_path / "film.mkv", 2, format=format)
        path, notes = colorized(tmp_path, "film.mkv")
        frame = read_frames(path)[1]
        assert frame.format.name == "yuv420p10le" and words in "; ".join(notes)
        scale = 4 if words else 1
        assert abs(lumas[1] / scale - luma_plane(frame)).mean() < 3


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, True), (9, False)])
def test_colors_are_those_of_the_network_in_the_films_own_matrix_and_range(tmp_path, matrix, full):
    flat = np.full((3, 48, 64), 128, dtype=np.uint8)
    write_film(tmp_path / "film.mkv", flat, matrix=matrix, full=full)
    path, _ = colorized(tmp_path, "film.mkv")
    frame = read_frames(path)[1]
    assert (int(frame.colorspace), int(frame.color_range)) == (matrix, 2 if full else 1)
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    planes = [np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[5, 5] for p in frame.planes]
    y = planes[0] / 255 if full else (planes[0] - 16) / 219
    cb, cr = ((int(c) - 128) / (255 if full else 224) for c in planes[1:])
    red, blue = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    _, a, b = rgb_to_lab(torch.tensor([red, green, blue]).view(1, 3, 1, 1).float())[0, :, 0, 0]
    expected_a, expected_b = (110 * x for x in film_files.EVENED)
    assert a == pytest.approx(expected_a, abs=2.5) and b == pytest.approx(expected_b, abs=2.5)


def test_time_stamps_that_vary_stay(tmp_path):
    pts = [0, 40, 47, 180, 181, 600]
    write_film(tmp_path / "film.mkv", len(pts), pts=pts)
    path, _ = colorized(tmp_path, "film.mkv")
    assert [round(1000 * frame.time) for frame in read_frames(path)] == pts


def test_sound_subtitles_chapters_and_tags_are_copied(tmp_path):
    chapters = [{"id": 1, "start": 0, "end": 160, "time_base": Fraction(1, 1000), "metadata": {"title": "The mill"}}]
    write_film(tmp_path / "film.mkv", sound="aac", subtitles=True, chapters=chapters)
    path, _ = colorized(tmp_path, "film.mkv")
    for kind in ("audio", "subtitle"):
        assert packets_of(path, kind) == packets_of(tmp_path / "film.mkv", kind) != []
    with av.open(str(path)) as file:
        assert [c["metadata"]["title"] for c in file.chapters()] == ["The mill"]
        assert file.metadata["title"] == "the old mill"
        assert file.streams.audio[0].metadata["language"] == "deu"


@pytest.mark.parametrize(("name", "sound"), [("film.mp4", "aac"), ("film.ts", "mp2"), ("film.mov", "pcm_s16le")])
def test_sound_and_times_in_other_containers(tmp_path, name, sound):
    write_film(tmp_path / name, 4, codec="libx264", sound=sound)
    path, _ = colorized(tmp_path, name)
    assert packets_of(path, "audio") == packets_of(tmp_path / name, "audio") != []
    assert [frame.time for frame in read_frames(path)] == [frame.time for frame in read_frames(tmp_path / name)]


def test_what_the_container_cannot_hold_is_named(tmp_path):
    write_film(tmp_path / "film.mkv", sound="aac", subtitles=True)
    path, notes = colorized(tmp_path, "film.mkv", target="new.mp4")
    assert packets_of(path, "audio")[0][0] == packets_of(tmp_path / "film.mkv", "audio")[0][0]
    assert any("subtitle stream 2 (subrip) is left out" in note for note in notes)


def test_rotation_and_the_shape_of_pixels_stay(tmp_path):
    write_film(tmp_path / "film.mp4", codec="libx264", rotation=90, shape=Fraction(4, 3))
    path, _ = colorized(tmp_path, "film.mp4")
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        assert video.sample_aspect_ratio == Fraction(4, 3)
        assert next(file.decode(video)).rotation == 90


def test_fields_stay_fields(tmp_path):
    write_film(tmp_path / "film.mkv", codec="libx264", interlaced=True)
    assert read_frames(tmp_path / "film.mkv")[0].interlaced_frame
    path, _ = colorized(tmp_path, "film.mkv")
    assert read_frames(path)[0].interlaced_frame


def test_odd_sizes_become_444_in_h264_and_stay_420_elsewhere(tmp_path):
    write_film(tmp_path / "film.mkv", 2, size=(47, 65))
    for encoder, wanted in ((LOSSLESS, "yuv444p"), (Encoder("ffv1"), "yuv420p")):
        path, _ = colorized(tmp_path, "film.mkv", encoder=encoder)
        frame = read_frames(path)[0]
        assert (frame.width, frame.height, frame.format.name) == (65, 47, wanted)
        assert np.array_equal(luma_plane(frame), luma_plane(read_frames(tmp_path / "film.mkv")[0]))


def test_strength_and_comparison(tmp_path):
    write_film(tmp_path / "film.mkv", 2)
    path, _ = colorized(tmp_path, "film.mkv", compare=True)
    frame = read_frames(path)[0]
    assert (frame.width, frame.height) == (128, 48)
    luma = luma_plane(frame)
    assert np.array_equal(luma[:, :64], luma[:, 64:])
    chroma = np.frombuffer(memoryview(frame.planes[2]), np.uint8).reshape(24, -1)[:, :64]
    assert (chroma[:, :32] == 128).all() and chroma[:, 32:].mean() > 135
    path, _ = colorized(tmp_path, "film.mkv", colorizer=StubColorizer(strength=0.0))
    frame = read_frames(path)[0]
    assert all((np.frombuffer(memoryview(p), np.uint8).reshape(24, -1)[:, :32] == 128).all() for p in frame.planes[1:])


def test_a_point_colors_from_its_frame_on(tmp_path):
    write_film(tmp_path / "film.mkv", np.repeat(film_files.moving_gray(1), 8, axis=0))
    points = [Point(40, 24, "blue", radius=6, frame=3)]
    path, notes = colorized(tmp_path, "film.mkv", colorizer=StubColorizer(ab=(0.0, 0.0)), points=points)
    blue = [np.frombuffer(memoryview(f.planes[1]), np.uint8).reshape(24, -1)[12, 20] for f in read_frames(path)]
    assert max(blue[:3]) == 128 and min(blue[3:]) > 140, (blue, notes)


def test_fewer_predictions_than_frames_where_nothing_moves(tmp_path):
    write_film(tmp_path / "film.mkv", np.repeat(film_files.moving_gray(1), 9, axis=0))
    calls = []
    for colors in (steady_colors, each_alone):
        colorizer = StubColorizer()
        colorized(tmp_path, "film.mkv", colorizer=colorizer, colors=colors)
        calls.append(colorizer.generator.calls)
    assert calls == [6, 18]  # two views each, of frames 0, 4 and 8, and of all


def test_frames_predicted_side_by_side_keep_their_order(tmp_path, two_threads):
    """Colors that say how bright the frame is, the bright ones predicted more slowly."""
    frames = np.empty((12, 48, 64), dtype=np.uint8)
    frames[:] = np.where(np.arange(12) % 2, 60, 200)[:, None, None] + np.arange(12)[:, None, None]
    write_film(tmp_path / "film.mkv", frames)
    both = threading.Barrier(2, timeout=30)
    threads = set()

    class ByBrightness(film_files.StubGenerator):
        def forward(self, lightness, hints=None):
            if len(threads) < 2:
                threads.add((threading.get_ident(), torch.get_num_threads()))
                both.wait()
            time.sleep(0.02 if lightness.mean() > 0 else 0)
            return 0.3 * lightness.mean() * torch.ones(1, 2, *lightness.shape[2:])

    colorizer = StubColorizer()
    colorizer.generator = ByBrightness(film_files.AB)
    path, _ = colorized(tmp_path, "film.mkv", colorizer=colorizer, colors=each_alone)
    blues = [np.frombuffer(memoryview(frame.planes[1]), np.uint8).mean() for frame in read_frames(path)]
    dark, bright = blues[1::2], blues[::2]
    assert dark == sorted(dark, reverse=True) and bright == sorted(bright, reverse=True) and min(dark) > max(bright)
    assert len(threads) == 2 and {count for _, count in threads} == {1}


def test_a_gray_films_colors_are_as_a_photos(tmp_path):
    """The colors of a frame, away from clipped ones, are those that the photo of the same L gets."""
    write_film(tmp_path / "film.mkv", 2, format="gray", codec="ffv1")
    path, _ = colorized(tmp_path, "film.mkv")
    gray = read_frames(tmp_path / "film.mkv")[0].to_ndarray(format="gray")
    lightness = rgb_to_lab(torch.from_numpy(gray / 255.0).float().expand(1, 3, -1, -1))[:, :1] / 50 - 1
    ab = torch.tensor(film_files.EVENED).view(1, 2, 1, 1).expand(1, 2, *gray.shape)
    photo = lab_to_rgb_in_gamut(lightness, ab)[0].permute(1, 2, 0).numpy().astype(float)
    frame = read_frames(path)[0].to_ndarray(format="rgb24").astype(float)
    inside = (photo.min(axis=2) > 0) & (photo.max(axis=2) < 255)
    assert inside.mean() > 0.5 and abs(frame - photo)[inside].mean() < 6


def test_a_killed_runs_film_is_removed_once_it_is_old(tmp_path):
    old, new = tmp_path / ".film-0123abcd.mp4", tmp_path / ".film-00000000.mp4"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert remove_unfinished(tmp_path / "film.mp4") != [] and not old.exists() and new.exists()


def test_stopping_leaves_no_file(tmp_path, capsys):
    write_film(tmp_path / "film.mkv", 8)

    def stopping(frames, predict):
        for number, ab in enumerate(each_alone(frames, predict)):
            if number == 5:
                raise KeyboardInterrupt
            yield ab

    with pytest.raises(KeyboardInterrupt):
        colorized(tmp_path, "film.mkv", colors=stopping)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]
    assert "starts it anew" in capsys.readouterr().err


def test_an_encoders_refusal_is_one_line_and_leaves_no_file(tmp_path):
    write_film(tmp_path / "film.mkv", 2)
    for encoder, words in (
        (Encoder("libnone"), "no encoder libnone"),
        (Encoder("aac"), "no encoder"),
        (Encoder("libx265"), "below 64"),
        (Encoder("mpeg4", crf=20), "--crf is for"),
    ):
        with pytest.raises(UserError, match=words):
            colorized(tmp_path, "film.mkv", encoder=encoder)
    for target, words in (("new.webm", "cannot hold"), ("new.jpg", "written as")):
        with pytest.raises(UserError, match=words):
            colorized(tmp_path, "film.mkv", target=target)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]
