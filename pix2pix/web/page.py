"""The page of `colorize.py --serve`: drop photos, see them before and after, download them at full size.

Needs gradio (the extra `web`). Uploads and results lie in a temporary folder that goes with the server, and each of
them an hour after it was made at the latest.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from pix2pix.decoding.opening import without_pillow_limit
from pix2pix.errors import UserError
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import SUFFIXES, colorize_file, target_of

MAX_PHOTOS = 20  # at once
MAX_MEGABYTES = 100  # each
KEPT_SECONDS = 3600
PREVIEW = (1600, 1200)  # pixels; what is downloaded has the photo's own size
# The system's own fonts: the page works without a network.
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
LIMITS = f"up to {MAX_PHOTOS} at once, {MAX_MEGABYTES} MB each"


def serve(colorizer: Colorizer, *, host: str, port: int, max_pixels: int, strength: float) -> None:
    """Serve the page until Ctrl-C. Raises UserError when gradio is missing or the port is taken."""
    gradio = _import_gradio()
    with tempfile.TemporaryDirectory(prefix="pix2pix-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # read when the components are made
        page = build_page(colorizer, max_pixels=max_pixels, strength=strength)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                theme=gradio.themes.Default(**FONTS),
                max_file_size=f"{MAX_MEGABYTES}mb",
                footer_links=[],
                share=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}; is the port taken? try another --port") from error
        print(f"open http://{host}:{port} in a browser; Ctrl-C ends it", flush=True)
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)


def build_page(colorizer: Colorizer, *, max_pixels: int, strength: float) -> Any:  # noqa: ANN401
    """The page as gradio's Blocks; photos are coloured one after the other, whoever asks."""
    gradio = _import_gradio()

    def colour(
        paths: list[str] | None,
        strength: float,
        progress: Any = gradio.Progress(),  # noqa: ANN401, B008  (gradio fills it in)
    ) -> Iterator[tuple[Any, ...]]:
        """Colour what was uploaded: the first pair of previews, names to choose from, files, what was said, previews.

        A generator, since gradio copies the files to its own folder when they are yielded.
        """
        _remove_empty(Path(photos.GRADIO_CACHE))
        paths = paths or []
        if len(paths) > MAX_PHOTOS:
            raise gradio.Error(f"{len(paths)} photos are too many at once; drop at most {MAX_PHOTOS}")
        previews: dict[str, tuple[bytes, bytes]] = {}
        files, said = [], []
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate(progress.tqdm([Path(path) for path in paths], unit="photos")):
                written = Path(folder, str(number), target_of(Path(path.name), Path(path.name), None).name)
                try:
                    notes = colorize_file(
                        colorizer.with_strength(strength), path, written, name=path.name, max_pixels=max_pixels
                    )
                except UserError as error:
                    said.append(str(error))
                    continue
                files.append(str(written))
                said += [f"{path.name}: {note}" for note in notes]
                label = path.name if path.name not in previews else f"{path.name} ({number + 1})"
                previews[label] = preview_pair(written)
            said.insert(0, f"{len(files)} of {len(paths)} photos coloured")
            names = list(previews)
            first = names[0] if names else None
            chosen = gradio.Dropdown(names, value=first, visible=len(names) > 1)
            yield show(first, previews), chosen, files, "\n".join(said) if paths else "", previews

    def show(name: str | None, previews: dict[str, tuple[bytes, bytes]]) -> Any:  # noqa: ANN401
        pair = previews.get(name)
        images = tuple(Image.open(io.BytesIO(part)) for part in pair) if pair else None
        return gradio.ImageSlider(images, visible=pair is not None)

    with gradio.Blocks(title="pix2pix", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gradio.Markdown("# Colour for black-and-white photos")
        with gradio.Row():
            with gradio.Column(scale=1):
                photos = gradio.File(
                    label=f"Photos ({LIMITS})", file_count="multiple", file_types=list(SUFFIXES), height=220
                )
                amount = gradio.Slider(
                    0, 2, value=strength, step=0.1, label="Strength of the colours", elem_id="strength"
                )
                downloads = gradio.File(
                    label="Coloured, at full size", file_count="multiple", interactive=False, elem_id="downloads"
                )
                said = gradio.Textbox(label="What happened", lines=3, interactive=False)
            with gradio.Column(scale=2):
                chosen = gradio.Dropdown([], label="Photo", visible=False)
                slider = gradio.ImageSlider(
                    label="Before and after",
                    format="jpeg",
                    max_height=PREVIEW[1],
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="slider",
                )
        previews = gradio.State({}, time_to_live=KEPT_SECONDS)
        gradio.on(
            [photos.upload, photos.clear, photos.delete, amount.release],
            colour,
            [photos, amount],
            [slider, chosen, downloads, said, previews],
            concurrency_limit=1,
            trigger_mode="always_last",
            api_name="colour",
        )
        chosen.input(show, [chosen, previews], slider, api_name=False)
    return page


def preview_pair(written: Path) -> tuple[bytes, bytes]:
    """The coloured file's first page as JPEGs, small enough for a browser: gray of the same luma, and in colour."""
    with without_pillow_limit(), Image.open(written) as image:
        image.thumbnail(PREVIEW)
        coloured = image.convert("RGB")
    contents = io.BytesIO(), io.BytesIO()
    for picture, content in zip((coloured.convert("L"), coloured), contents, strict=True):
        picture.save(content, "JPEG", quality=90)
    return contents[0].getvalue(), contents[1].getvalue()


def _remove_empty(folder: Path) -> None:
    """Remove the empty file that gradio leaves of every upload, and the folders of what it has removed, when old."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # a folder that is not empty
            if path.stat().st_mtime > time.time() - KEPT_SECONDS:
                continue
            if path.is_dir():
                path.rmdir()
            elif not path.stat().st_size:
                path.unlink()


def _import_gradio() -> Any:  # noqa: ANN401
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError:
        raise UserError('the web page needs gradio: pip install -e ".[web]"') from None
    return gradio
