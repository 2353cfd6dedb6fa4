"""Reading a film: frames as they were decoded, everything else as the packets that are in the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pix2pix.errors import UserError
from pix2pix.files import refuse_special

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

MISSING = 1.0  # seconds, and a fiftieth of the film: what may be missing at its end before it counts as cut off
BROKEN_PACKETS = 100  # in a row, before reading ends


def require_av() -> None:
    """Raises UserError with the command that installs PyAV where it is missing."""
    try:
        import av
    except ImportError:
        raise UserError('films need PyAV: pip install -e ".[video]"') from None
    av.logging.set_level(None)  # FFmpeg's remarks; what matters of them is told by exceptions


@dataclass
class Film:
    """An open film: the video stream that is colorized and its first frame. `notes` tell what could not be read."""

    container: InputContainer
    stream: VideoStream
    first: VideoFrame
    name: str
    items: Iterator[Packet | VideoFrame]
    notes: list[str] = field(default_factory=list)

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return self.stream.average_rate or self.stream.guessed_rate or Fraction(25)

    @property
    def seconds(self) -> float | None:
        """How long the film says it is; None where it does not."""
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def seconds_to(self, frame: VideoFrame) -> float:
        """A frame's time since the first one."""
        assert frame.pts is not None and self.first.pts is not None and self.stream.time_base is not None
        return float((frame.pts - self.first.pts) * self.stream.time_base)

    @property
    def frame_count(self) -> int | None:
        """How many frames it says it has, or should have by its duration."""
        return self.stream.frames or (round(self.seconds * self.rate) if self.seconds else None)


def open_film(source: Path, name: str, max_pixels: int) -> Film:
    """Open a film and decode its first frame. Raises UserError for what is no film and for frames that are too large.

    `items` gives frames, and between them the packets of all other streams, in the file's order. A film that ends
    early ends there, with a note.
    """
    require_av()
    import av

    refuse_special(source, name)
    try:
        container = av.open(str(source.absolute()), metadata_errors="replace")  # "a:b" alone is a protocol
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {name}: it is no film, or was cut off before its index ({reason})") from error
    try:
        return _begin(container, name, max_pixels)
    except BaseException:
        container.close()
        raise


def _begin(container: InputContainer, name: str, max_pixels: int) -> Film:
    import av

    streams = [s for s in container.streams.video if not is_picture(s)]
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise UserError(f"{name} has no video stream that can be read (it holds {kinds})")
    stream = max(streams, key=lambda s: s.width * s.height)
    if stream.width * stream.height > max_pixels:
        raise UserError(
            f"{name} has frames of {stream.width}x{stream.height} pixels, more than {max_pixels / 1e6:g} million; "
            "allow them with --max-pixels"
        )
    stream.thread_type = "AUTO"
    notes: list[str] = []
    items = _read(container, stream, notes)
    before = []
    for item in items:
        before.append(item)
        if isinstance(item, av.VideoFrame):
            return Film(container, stream, item, name, _chain(before, items), notes)
    raise UserError(f"{name} has no frame that can be read")


def is_picture(stream: Stream) -> bool:
    """Whether a video stream is a single picture, the cover of an album, or cannot be decoded."""
    import av

    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return stream.codec_context is None or bool(stream.disposition & cover)


def _chain(before: list[Packet | VideoFrame], items: Iterator[Packet | VideoFrame]) -> Iterator[Packet | VideoFrame]:
    while before:
        yield before.pop(0)  # not kept: a frame is as large as a photo
    yield from items


def _read(container: InputContainer, stream: VideoStream, notes: list[str]) -> Iterator[Packet | VideoFrame]:
    """Frames of `stream` with rising time stamps, and the packets of the others."""
    broken = Broken(notes)
    clock = Clock(stream)
    for packet in broken.demux(container):
        if packet.stream.index == stream.index:
            yield from map(clock.stamp, broken.decode(stream, packet))
        elif packet.pts is not None:
            yield packet
    yield from map(clock.stamp, broken.decode(stream, None))
    broken.sum_up(container)


class Clock:
    """Gives frames the time stamps that they lack, and never the same twice."""

    def __init__(self, stream: VideoStream) -> None:
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.base = stream.time_base or 1 / rate
        self.step = max(1, round(1 / rate / self.base))
        self.last: int | None = None
        self.next = 0

    def stamp(self, frame: VideoFrame) -> VideoFrame:
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None or (self.last is not None and pts <= self.last):
            pts = self.next if self.last is None or self.next > self.last else self.last + 1
        frame.pts = self.last = pts
        frame.time_base = self.base  # the last ones that a decoder gives have none
        self.next = pts + (frame.duration or self.step)
        return frame


class Broken:
    """Reads on over what is broken, and says how much that was."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.packets = 0
        self.read = 0.0  # seconds, by the packets of all streams

    def demux(self, container: InputContainer) -> Iterator[Packet]:
        """The packets of all streams that hold something, until the end or until nothing more can be read."""
        import av

        in_a_row, packets = 0, container.demux()
        while in_a_row < BROKEN_PACKETS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                in_a_row += 1
                packets = container.demux()
                continue
            in_a_row = 0
            if packet.size:  # the empty ones at the end would flush the decoders
                if packet.pts is not None:
                    self.read = max(self.read, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                yield packet

    def decode(self, stream: VideoStream, packet: Packet | None) -> list[VideoFrame]:
        """The frames that a packet completes, or at the end (None) those that are still missing."""
        import av

        try:
            return stream.decode(packet)
        except av.FFmpegError:
            self.packets += packet is not None
        if packet is None:
            with suppress(av.FFmpegError):
                return stream.decode(None)
        return []

    def sum_up(self, container: InputContainer) -> None:
        """Add the notes: what was damaged, and whether the film is shorter than it says."""
        if self.packets:
            self.notes.append(f"{self.packets} damaged frames could not be read and are left out")
        seconds = (container.duration or 0) / 1e6
        read = max(self.read - (container.start_time or 0) / 1e6, 0)
        if seconds - read > max(MISSING, seconds / 50):
            self.notes.append(f"it is cut off: {read:.1f} of its {seconds:.1f} seconds could be read")
