"""The frames that are written: a decoded frame's luma and room for chroma, in a format that the encoder takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pix2pix.errors import UserError
from pix2pix.video.planes import BT601, BT709, WEIGHTS, Coding, plane_array

if TYPE_CHECKING:
    from av import VideoFrame

LUMA_FIRST = re.compile(r"(?:gray|yuvj?a?(4\d\d)p)(?:(\d+)le)?")  # formats whose first plane is luma alone
WHOLE_CHROMA = ("libx264", "libx265")  # encoders that cannot cut a chroma pixel in two
# FFmpeg's numbers
RGB_MATRIX, UNKNOWN_MATRIX = 0, 2
UNKNOWN_RANGE, LIMITED_RANGE, FULL_RANGE = 0, 1, 2
LARGE = 576  # rows: players take higher films whose matrix is not named for BT.709


class Layout(NamedTuple):
    """A pixel format's chroma ("444", "422", "420"..., or "" for none) and bits."""

    chroma: str
    bits: int


def layout_of(format: str) -> Layout | None:
    """None for a format without a plane of luma alone, such as RGB."""
    match = LUMA_FIRST.fullmatch(format)
    return Layout(match[1] or "", int(match[2] or 8)) if match else None


def choose_format(codec: str, frame: VideoFrame) -> str:
    """The encoder's pixel format nearest to a frame's: its own, else its bits or more, then its chroma or 4:2:0.

    Raises UserError for an encoder that is not there, and for one that takes no such frames.
    """
    import av

    try:
        formats = av.codec.Codec(codec, "w").video_formats
    except (av.FFmpegError, ValueError):
        raise UserError(f"this FFmpeg has no encoder {codec}; --codec takes libx264, or another that it has") from None
    if not formats:
        raise UserError(f"{codec} is no encoder of films; --codec takes libx264, or another of FFmpeg's")
    taken = {format.name for format in formats}
    odd = bool(frame.width % 2), bool(frame.height % 2)
    own = layout_of(frame.format.name) or Layout("420", min(frame.format.components[0].bits, 16))
    depths = sorted((8, 9, 10, 12, 14, 16), key=lambda bits: (bits < own.bits, abs(bits - own.bits)))
    names = [frame.format.name] if own.chroma and "a" not in frame.format.name else []
    names += [
        f"yuv{chroma}p{'' if bits == 8 else f'{bits}le'}"
        for bits in depths
        for chroma in dict.fromkeys((own.chroma or "420", "420", "422", "444"))
    ]
    for name in names:
        if name in taken and (codec not in WHOLE_CHROMA or _fits(name, odd)):
            return name
    raise UserError(
        f"{codec} takes no frames of {frame.width}x{frame.height} pixels in {frame.format.name}; choose another --codec"
    )


def _fits(format: str, odd: Iterable[bool]) -> bool:
    """Whether frames with an odd width, or height, are whole numbers of chroma pixels."""
    wide, high = {"444": (True, True), "422": (False, True), "440": (True, False)}.get(format[3:6], (False, False))
    return all(fits or not is_odd for fits, is_odd in zip((wide, high), odd, strict=True))


class Canvas:
    """Makes writable frames of one format and size out of decoded ones, whose luma they keep."""

    def __init__(self, first: VideoFrame, format: str, name: str) -> None:
        self.width, self.height, self.format, self.name = first.width, first.height, format, name
        self.layout = layout_of(format) or Layout("420", 8)
        self.notes: list[str] = []
        if layout_of(first.format.name) is None and first.format.is_rgb:
            self.notes.append(f"its RGB frames are written as {format}")
        if any(component.is_alpha for component in first.format.components):
            self.notes.append("its transparency is left out")
        if self.layout.bits < first.format.components[0].bits:
            self.notes.append(f"its {first.format.components[0].bits} bits are written as {self.layout.bits}")

    def __call__(self, frame: VideoFrame) -> tuple[VideoFrame, Coding]:
        """The frame to write, whose chroma is still to be filled, and the coding of its planes."""
        import av

        if (frame.width, frame.height) != (self.width, self.height):
            self._remark("frames of another size in it are scaled")
            frame = frame.reformat(width=self.width, height=self.height)
        if layout_of(frame.format.name) is None:
            frame = self._to_planes(frame)
        coding = coding_of(frame, self.name)
        frame.pict_type = 0  # the encoder chooses its own key frames
        if frame.format.name == self.format:
            frame.make_writable()
            return frame, coding
        other = av.VideoFrame(self.width, self.height, self.format)
        copy_attributes(frame, other)
        new_coding = Coding(coding.matrix, coding.full, self.layout.bits)
        luma = plane_array(frame.planes[0], coding)
        plane_array(other.planes[0], new_coding)[:] = _with_bits(luma, coding.bits, new_coding.bits)
        return other, new_coding

    def _to_planes(self, frame: VideoFrame) -> VideoFrame:
        """RGB, and formats whose planes are mixed, by FFmpeg's scaler, in limited range if they were RGB."""
        import av.video.reformatter as scaler

        if not frame.format.is_rgb:
            return frame.reformat(format=self.format)
        matrix = scaler.Colorspace.ITU709 if frame.height > LARGE else scaler.Colorspace.SMPTE170M
        return frame.reformat(format=self.format, dst_colorspace=matrix, dst_color_range=LIMITED_RANGE)

    def _remark(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def coding_of(frame: VideoFrame, name: str) -> Coding:
    """The coding of a frame with a luma plane. What names no matrix has the one that players take for its size.

    Gray formats that do not say their range are in full range, as FFmpeg takes them. Raises UserError for a matrix that
    is none of BT.601, 709 and 2020.
    """
    matrix, layout = int(frame.colorspace), layout_of(frame.format.name)
    assert layout is not None
    if matrix in (UNKNOWN_MATRIX, RGB_MATRIX):
        matrix = BT709 if frame.height > LARGE else BT601
    if matrix not in WEIGHTS:
        raise UserError(f"{name} has a color matrix (number {matrix} of H.273) that is none of BT.601, 709 and 2020")
    full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    unsaid_gray = not layout.chroma and int(frame.color_range) == UNKNOWN_RANGE
    return Coding(matrix, full or unsaid_gray, layout.bits)


def _with_bits(luma: np.ndarray, bits: int, wanted: int) -> np.ndarray:
    """Numbers of `bits` bits as numbers of `wanted` bits."""
    if wanted >= bits:
        return luma.astype(np.uint16) << (wanted - bits) if wanted > bits else luma
    return luma >> (bits - wanted)


def beside_gray(frame: VideoFrame, coding: Coding) -> VideoFrame:
    """A frame of twice the width: without color on the left, as it is on the right."""
    import av

    pair = av.VideoFrame(2 * frame.width, frame.height, frame.format.name)
    copy_attributes(frame, pair)
    for number, (old, new) in enumerate(zip(frame.planes, pair.planes, strict=True)):
        pixels, both = plane_array(old, coding), plane_array(new, coding)
        both[:, : both.shape[1] - pixels.shape[1]] = coding.middle
        if number == 0:
            both[:, : pixels.shape[1]] = pixels
        both[:, -pixels.shape[1] :] = pixels
    return pair


def copy_attributes(frame: VideoFrame, other: VideoFrame) -> None:
    """Give `other` the time and the color tags of `frame`."""
    for name in ("pts", "time_base", "duration", "colorspace", "color_range", "color_trc", "color_primaries"):
        setattr(other, name, getattr(frame, name))
