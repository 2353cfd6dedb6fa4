"""Small films for the tests, made by PyAV, and a network of constant colors."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

av = pytest.importorskip("av")

AB = (0.2, 0.3)  # a warm brown, in [-1, 1]
EVENED = tuple(x * (0.1 / math.hypot(*AB)) ** 0.25 for x in AB)  # what a photo or film all of it gets
WIDTH, HEIGHT = 64, 48


class StubGenerator(torch.nn.Module):
    """The same ab everywhere, but the hinted one at hints; counts its calls."""

    def __init__(self, ab=AB):
        super().__init__()
        self.ab, self.calls = torch.nn.Parameter(torch.tensor(ab)), 0

    def forward(self, lightness, hints=None):
        self.calls += 1
        ab = self.ab.view(1, 2, 1, 1).expand(len(lightness), 2, *lightness.shape[2:])
        return ab if hints is None else torch.where(hints[:, 2:] > 0, hints[:, :2], ab)


class StubColorizer:
    """What films need of a Colorizer."""

    def __init__(self, ab=AB, *, strength=1.0, takes_points=True):
        self.generator, self.strength, self.takes_points = StubGenerator(ab), strength, takes_points
        self.device, self.weights, self.size = torch.device("cpu"), Path("stub.pt"), 32

    def working_size(self, height, width):
        return (32, max(round(32 * width / height), 1)) if height < width else (max(round(32 * height / width), 1), 32)


def moving_gray(count, height=HEIGHT, width=WIDTH):
    """Gray frames (count, height, width) uint8: a slow pan over a photo."""
    photo = data.coffee().mean(axis=2).astype(np.uint8)[::4, ::4]
    return np.stack([photo[20 : 20 + height, 10 + i : 10 + i + width] for i in range(count)])


def write_film(path, frames=8, *, codec="ffv1", format="yuv420p", pts=None, rate=25, sound=None, subtitles=False,
               rotation=0, shape=None, matrix=2, full=False, chapters=(), size=(HEIGHT, WIDTH), options=None,
               interlaced=False):  # fmt: skip
    """A film of `frames` (a number, or gray frames), in which chroma is far from gray; returns its luma planes.

    `sound` is an audio encoder; `pts` are in 1/1000 s.
    """
    gray = moving_gray(frames, *size) if isinstance(frames, int) else frames
    height, width = gray.shape[1:]
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=rate, width=width, height=height, options=options or {})
        video.pix_fmt = format
        context = video.codec_context
        context.time_base = Fraction(1, 1000)
        context.color_range, context.colorspace = 2 if full else 1, matrix
        if shape:
            context.sample_aspect_ratio = shape
        if rotation:
            video.set_display_rotation(rotation)
        if interlaced:
            context.flags |= av.codec.context.Flags.interlaced_dct
        audio = file.add_stream(sound, rate=48000) if sound else None
        text = file.add_mux_stream("subrip") if subtitles else None
        if chapters:
            file.set_chapters(list(chapters))
        file.metadata["title"] = "the old mill"
        if audio:
            audio.metadata["language"] = "deu"
            _write_sound(file, audio)
        if text:
            packet = av.Packet(b"hello")
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = (
                text,
                Fraction(1, 1000),
                40,
                40,
                80,
            )
            file.mux(packet)
        lumas = []
        for number, pixels in enumerate(gray):
            frame = _frame(pixels, format)
            lumas.append(luma_plane(frame).copy())
            frame.pts, frame.time_base = pts[number] if pts else round(1000 * number / rate), Fraction(1, 1000)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return lumas


def _frame(pixels, format):
    frame = av.VideoFrame(pixels.shape[1], pixels.shape[0], format)
    for number, plane in enumerate(frame.planes):
        deep = frame.format.components[0].bits > 8
        rows = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        scale = 1 << (frame.format.components[0].bits - 8)
        if number == 0 and plane.width == pixels.shape[1] and not frame.format.is_rgb:
            rows[:, : plane.width] = (16 + pixels.astype(np.uint16) * 219 // 255) * scale
        else:
            rows[:] = 60 * scale if not frame.format.is_rgb else 100
    return frame


def _write_sound(file, audio):
    audio.layout = "mono"
    wave = (8000 * np.sin(np.arange(48000 // 4) / 9)).astype(np.int16)
    resampler = av.AudioResampler(audio.format, "mono", 48000, audio.codec_context.frame_size or 1024)
    whole = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
    whole.sample_rate, whole.pts, whole.time_base = 48000, 0, Fraction(1, 48000)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        file.mux(audio.encode(frame))
    file.mux(audio.encode(None))


def luma_plane(frame):
    plane = frame.planes[0]
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    return np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]


def read_frames(path):
    """The frames of a film's first video stream."""
    with av.open(str(path)) as file:
        return list(file.decode(file.streams.video[0]))


def packets_of(path, kind):
    """(content, seconds) of the packets of the first stream of a kind."""
    with av.open(str(path)) as file:
        stream = next(s for s in file.streams if s.type == kind)
        packets = [p for p in file.demux(stream) if p.size]
        return [(bytes(p), float(p.pts * p.time_base)) for p in packets]
