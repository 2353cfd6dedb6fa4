"""The streams of a film that are no pictures to colorize: sound, subtitles, covers, fonts, copied as they are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pix2pix.video.reading import Film, is_picture

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

MADE_BY_MUXERS = ("handler_name", "vendor_id", "encoder")  # and tags that tell a stream's size


def add_copies(film: Film, container: OutputContainer, notes: list[str]) -> dict[int, Stream]:
    """The new container's streams for packets that are copied, by the index that they have in the film.

    What the container cannot hold is left out, with a note.
    """
    copies: dict[int, Stream] = {}
    has_chapters = bool(film.container.chapters())
    for stream in film.container.streams:
        if stream.index == film.stream.index or (has_chapters and _is_chapter_track(stream)):
            continue
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "of an unknown codec"
        if not _is_held(stream, container.format.name):
            notes.append(
                f"its {stream.type} stream {stream.index} ({codec}) is left out: {container.format.name} cannot hold it"
            )
            continue
        copies[stream.index] = _copy(stream, container)
        if stream.type == "video" and not is_picture(stream):
            notes.append(f"its video stream {stream.index} ({codec}) is copied without colors: one is colorized")
    return copies


def describe_stream(copy: Stream, stream: Stream) -> None:
    """Give a stream another one's language, title and dispositions."""
    tags = {
        key: value
        for key, value in stream.metadata.items()
        if key.lower() not in MADE_BY_MUXERS and not key.startswith(("_STATISTICS", "BPS", "NUMBER_OF_", "DURATION"))
    }
    copy.metadata.update(tags)
    copy.disposition = stream.disposition


def _copy(stream: Stream, container: OutputContainer) -> Stream:
    if stream.codec_context is None:
        copy = container.add_stream_from_template(stream)
    else:
        copy = container.add_stream_from_template(stream, opaque=True)
    describe_stream(copy, stream)
    return copy


def _is_held(stream: Stream, muxer: str) -> bool:
    """Whether a container can hold a stream: a file in memory is begun with it."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            _copy(stream, trial)
            trial.start_encoding()
    except Exception:  # muxers refuse by many kinds of errors
        return False
    return True


def _is_chapter_track(stream: Stream) -> bool:
    """Whether a stream is MP4's list of chapter titles, which is written from the chapters."""
    return stream.type == "data" and stream.codec_context is None
