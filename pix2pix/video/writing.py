"""Writing a film: colorized frames through an encoder, everything else as the packets that were read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pix2pix.errors import DISK_FULL, UserError
from pix2pix.video.copying import add_copies, describe_stream
from pix2pix.video.planes import Coding
from pix2pix.video.reading import Film

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.stream import Stream

# Near-transparent: hardly to be told from the film. The scales are the encoders' own.
CRF = {"libx264": "16", "libx265": "18", "libvpx-vp9": "18", "libsvtav1": "20", "libaom-av1": "18"}
SPEED = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "veryfast"},
    "libvpx-vp9": {"cpu-used": "5", "row-mt": "1"},
    "libsvtav1": {"preset": "9", "svtav1-params": "enable-stat-report=0"},
    "libaom-av1": {"cpu-used": "8"},
}
FINEST_SCALE = 2 * 118  # of encoders without crf or cq, such as mpeg4, in FFmpeg's units of quality
LEAST_X265 = 64  # pixels: libx265 writes outside its memory for smaller frames
CHAPTERS = ("mp4", "mov", "ipod", "matroska", "webm")  # containers that hold chapters
MUXERS = {".m4v": "mp4", ".divx": "avi"}  # where FFmpeg takes a suffix for another format


@dataclass(frozen=True)
class Encoder:
    """FFmpeg's name of an encoder, and its crf; None for H.264 and for near-transparent."""

    asked: str | None = None
    crf: float | None = None

    @property
    def codec(self) -> str:
        return self.asked or "libx264"

    def options(self) -> dict[str, str]:
        """FFmpeg's private options. Raises UserError for a crf where the encoder has none."""
        scale = "crf" if self.codec in CRF else "cq" if self.codec.endswith("_nvenc") else None
        if scale is None:
            if self.crf is not None:
                raise UserError(
                    f"--crf is for {', '.join(CRF)} and nvenc's encoders, not for {self.codec}; leave it out"
                )
            return {}
        return SPEED.get(self.codec, {}) | {scale: CRF.get(self.codec, "18") if self.crf is None else f"{self.crf:g}"}


class Writer:
    """An output file: the header is written at once, `write` takes frames and packets in the film's order."""

    def __init__(
        self, path: Path, target: Path, film: Film, encoder: Encoder, first: VideoFrame, coding: Coding
    ) -> None:
        """`path` is where the file is written, `target` what errors call it, `first` the first frame to come.

        Raises UserError where the file cannot be begun.
        """
        import av

        self.notes: list[str] = []
        self.target, self.encoder = target, encoder
        muxer = MUXERS.get(target.suffix.lower())
        try:
            self.container = av.open(str(path.absolute()), "w", format=muxer)
        except ValueError:
            raise UserError(f"films cannot be written as {target.suffix}; use .mp4, .mov or .mkv") from None
        try:
            self.video = self._add_video(film, first, coding)
            self.copies = add_copies(film, self.container, self.notes)
            self._describe(film)
            self._start(first)
        except BaseException:
            with suppress(Exception):
                self.container.close()
            raise

    def _add_video(self, film: Film, first: VideoFrame, coding: Coding) -> VideoStream:
        """The stream of the colorized frames, with the film's time base, shape of pixels and color tags."""
        import av
        from av.codec.context import Flags

        codec, size = self.encoder.codec, (first.width, first.height)
        if codec == "libx265" and min(size) < LEAST_X265:
            raise UserError(f"libx265 takes no frames below {LEAST_X265} pixels, and these are {size[0]}x{size[1]}")
        options = self.encoder.options()
        try:
            stream = self.container.add_stream(codec, rate=film.rate, options=options)
        except ValueError:
            suffix = self.target.suffix
            raise UserError(f"{suffix} cannot hold what {codec} makes; write .mkv, or choose another --codec") from None
        assert isinstance(stream, av.VideoStream) and film.stream.time_base
        context = stream.codec_context
        context.width, context.height = size
        context.pix_fmt = first.format.name
        context.time_base = film.stream.time_base
        if film.stream.sample_aspect_ratio:
            context.sample_aspect_ratio = film.stream.sample_aspect_ratio
        context.color_range = 2 if coding.full else int(first.color_range)
        context.colorspace = coding.matrix
        context.color_trc, context.color_primaries = first.color_trc, first.color_primaries
        context.thread_count = 0
        context.flags |= Flags.frame_duration | (Flags.interlaced_dct if first.interlaced_frame else 0)
        if context.codec.canonical_name == "hevc" and self.container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players look for
        if not {"crf", "cq"} & options.keys():
            context.flags |= Flags.qscale
            context.global_quality = FINEST_SCALE
        return stream

    def _describe(self, film: Film) -> None:
        """Tags, chapters, and the stream's own: language, title, and how it is turned."""
        of_the_file = ("major_brand", "minor_version", "compatible_brands", "encoder")
        self.container.metadata.update({k: v for k, v in film.container.metadata.items() if k not in of_the_file})
        chapters = film.container.chapters()
        if chapters and self.container.format.name in CHAPTERS:
            self.container.set_chapters(chapters)
        elif chapters:
            self.notes.append(f"its {len(chapters)} chapters are left out: {self.target.suffix} cannot hold them")
        describe_stream(self.video, film.stream)
        matrix: Any = film.first.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            self.video.set_display_matrix(np.frombuffer(matrix, np.int32).tolist())

    def _start(self, first: VideoFrame) -> None:
        import av

        try:
            self.container.start_encoding()
        except av.FFmpegError as error:
            raise_if_full(error, self.target)
            raise UserError(
                f"{self.encoder.codec} refuses {first.width}x{first.height} pixels in {first.format.name}, "
                f"or {self.target.suffix} what it makes ({error.strerror}); choose another --codec or --crf"
            ) from error

    def write(self, item: VideoFrame | Packet) -> None:
        """Encode a frame, or copy a packet of another stream. Raises UserError for a full disk."""
        import av

        if isinstance(item, av.VideoFrame):
            self._encode(item)
            return
        index = item.stream.index
        if index not in self.copies:
            return
        item.stream = self.copies[index]
        try:
            self.container.mux_one(item)
        except av.FFmpegError as error:
            raise_if_full(error, self.target)
            self._remark_damage(item.stream)

    def _remark_damage(self, stream: Stream) -> None:
        note = f"parts of its {stream.type} stream are left out: {self.target.suffix} refuses them"
        if note not in self.notes:
            self.notes.append(note)

    def _encode(self, frame: VideoFrame | None) -> None:
        import av

        try:
            self.container.mux(self.video.encode(frame))
        except av.FFmpegError as error:
            raise_if_full(error, self.target)
            raise UserError(f"cannot write {self.target}: {error.strerror}") from error

    def finish(self) -> None:
        """Encode what the encoder has kept, and end the file."""
        import av

        self._encode(None)
        try:
            self.container.close()
        except av.FFmpegError as error:
            raise_if_full(error, self.target)
            raise UserError(f"cannot write {self.target}: {error.strerror}") from error

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        with suppress(Exception):
            self.container.close()


def raise_if_full(error: Exception, target: Path) -> None:
    """Raises UserError where FFmpeg's error says that the disk is full."""
    if getattr(error, "errno", None) in DISK_FULL:
        raise UserError(f"cannot write {target}: the disk is full; free some space and start it anew") from error
