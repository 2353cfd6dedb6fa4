"""The page of `colorize.py --serve`: drop photos, click on them to say what color is where, download them.

Needs gradio (the extra `web`). Uploads and results lie in a temporary folder that goes with the server, and each of
them an hour after it was made at the latest.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pix2pix.errors import UserError
from pix2pix.inference import Colorizer
from pix2pix.web.editor import PALETTE, unfit_note
from pix2pix.web.visit import NO_PHOTO, Visit, view, write_all, write_full_size, write_photo_points

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio looks at it when it is imported
try:
    import gradio
except ImportError:
    raise UserError('the web page needs gradio: pip install -e ".[web]"') from None

MAX_PHOTOS = 20  # at once
MAX_MEGABYTES = 100  # each
MAX_VISITORS = 50  # whose photos are kept in memory; the one who was away for longest goes first
KEPT_SECONDS = 3600
# The system's own fonts: the page works without a network.
FONTS: dict[str, Any] = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
TEMPLATES = Path(__file__).parent / "templates"


def serve(colorizer: Colorizer, *, host: str, port: int, max_pixels: int, strength: float) -> None:
    """Serve the page until Ctrl-C. Raises UserError when the port is taken."""
    with served(colorizer, host=host, port=port, max_pixels=max_pixels, strength=strength) as page:
        print(f"open http://{host}:{port} in a browser; Ctrl-C ends it", flush=True)
        page.block_thread()


@contextlib.contextmanager
def served(colorizer: Colorizer, *, host: str, port: int, max_pixels: int, strength: float) -> Iterator[gradio.Blocks]:
    """The page, served as long as the block lasts. Raises UserError when the port is taken."""
    with tempfile.TemporaryDirectory(prefix="pix2pix-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # read when the components are made
        page = build_page(colorizer, max_pixels=max_pixels, strength=strength)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                theme=gradio.themes.Default(primary_hue="blue", **FONTS),
                css=_template("page.css"),
                max_file_size=f"{MAX_MEGABYTES}mb",
                state_session_capacity=MAX_VISITORS,
                footer_links=[],
                share=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}; is the port taken? try another --port") from error
        try:
            yield page
        finally:
            page.close(verbose=False)


def build_page(colorizer: Colorizer, *, max_pixels: int, strength: float) -> gradio.Blocks:
    """The page as gradio's Blocks; what visitors ask for is done one after the other."""
    kept = (60, KEPT_SECONDS)  # looked at every minute
    with gradio.Blocks(title="pix2pix", analytics_enabled=False, delete_cache=kept, fill_width=True) as page:
        gradio.Markdown("# Color for black-and-white photos")
        with gradio.Row(elem_id="main"):
            with gradio.Column(scale=1, min_width=280, elem_id="side"):
                with gradio.Column(elem_id="drop"):
                    # Of any kind: what is no photo is told in a line.
                    photos = gradio.File(label=f"Photos, up to {MAX_PHOTOS} at once", file_count="multiple", height=160)
                    chosen = gradio.Dropdown([], label="Photo", visible=False)
                with gradio.Column(visible=False, elem_id="finish") as finish:
                    amount = gradio.Slider(0, 2, strength, step=0.1, label="Strength of color", elem_id="strength")
                    one = gradio.Button("Download photo", variant="primary", elem_id="download")
                    several = gradio.Button("Download all photos", visible=False, elem_id="download-all")
                    points = gradio.Button("Download points", visible=colorizer.takes_points, elem_id="download-points")
            with gradio.Column(scale=3, min_width=320, elem_id="editor-column"):
                editor = gradio.HTML(
                    view(colorizer, None),
                    html_template=_template("editor.html"),
                    css_template=_template("editor.css"),
                    js_on_load=_template("editor.js"),
                    palette=PALETTE,
                    elem_id="editor",
                )
                said = gradio.HTML([], html_template=_template("said.html"), elem_id="said")
        file = gradio.File(elem_id="file")  # hidden: what is downloaded next
        visit = gradio.State(Visit(), time_to_live=KEPT_SECONDS)

        do = Handlers(colorizer, max_pixels, Path(photos.GRADIO_CACHE))
        shown = [editor, said, visit]
        one_at_a_time: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": 1}
        quiet: dict[str, Any] = one_at_a_time | {"show_progress": "hidden", "api_visibility": "private"}
        gradio.on(
            [photos.upload, photos.clear, photos.delete],
            do.drop,
            [photos, amount, visit],
            [*shown, chosen, finish, several],
            trigger_mode="always_last",
            show_progress_on=photos,
            **one_at_a_time,
        )
        editor.edit(do.edit, [amount, visit], shown, trigger_mode="multiple", **quiet)
        chosen.input(do.choose, [chosen, amount, visit], shown, **quiet)
        amount.change(do.strengthen, [amount, visit], shown, trigger_mode="always_last", **quiet)
        for button, write in ((one, do.download), (several, do.download_all), (points, do.download_points)):
            made = button.click(write, [amount, visit], [file, said], show_progress_on=button, **one_at_a_time)
            made.then(None, file, js=_template("download.js"))
    return page


class Handlers:
    """What the page does at its events, with gradio's values in and out.

    Downloads are generators, since gradio copies a file to its own folder when it is yielded.
    """

    def __init__(self, colorizer: Colorizer, max_pixels: int, cache: Path) -> None:
        self.colorizer = colorizer
        self.max_pixels = max_pixels
        self.cache = cache

    def drop(
        self,
        paths: list[str] | None,
        strength: float,
        visit: Visit,
        progress: gradio.Progress = gradio.Progress(),  # noqa: B008  (gradio fills it in)
    ) -> tuple[Any, ...]:
        """Take what is in the list of photos now."""
        _remove_empty(self.cache)
        paths = paths or []
        if len(paths) > MAX_PHOTOS:
            said = [f"{len(paths)} photos are too many at once; drop at most {MAX_PHOTOS}"]
        else:
            said = visit.drop(progress.tqdm(paths, unit="photos"), self.max_pixels)
        names = visit.names()
        return (
            *self._show(strength, visit, said),
            gradio.Dropdown(names, value=visit.chosen, visible=len(names) > 1),
            gradio.Column(visible=bool(names)),
            gradio.Button(visible=len(names) > 1),
        )

    def edit(self, strength: float, visit: Visit, event: gradio.EventData) -> tuple[Any, ...]:
        """Change the photo's points."""
        try:
            visit.edit(event.change)
            note = unfit_note(visit.require_photo())
        except UserError as error:
            note = str(error)
        return self._show(strength, visit, [note] if note else [])

    def choose(self, path: str, strength: float, visit: Visit) -> tuple[Any, ...]:
        """Show another photo."""
        visit.chosen = path
        return self._show(strength, visit, [] if visit.photo else [NO_PHOTO])

    def strengthen(self, strength: float, visit: Visit) -> tuple[Any, ...]:
        """Show the photo in colors of another strength."""
        return self._show(strength, visit, [])

    def download(self, strength: float, visit: Visit) -> Iterator[tuple[str | None, list[str]]]:
        """The photo that is shown, at full size."""
        colorizer = self.colorizer.with_strength(strength)
        yield from _file_of(lambda folder: write_full_size(colorizer, visit.require_photo(), folder, self.max_pixels))

    def download_all(self, strength: float, visit: Visit) -> Iterator[tuple[str | None, list[str]]]:
        """All photos at full size."""
        colorizer = self.colorizer.with_strength(strength)
        yield from _file_of(lambda folder: write_all(colorizer, visit.photos.values(), folder, self.max_pixels))

    def download_points(self, _: float, visit: Visit) -> Iterator[tuple[str | None, list[str]]]:
        """The points file of the photo that is shown."""
        yield from _file_of(lambda folder: write_photo_points(visit.require_photo(), folder))

    def _show(self, strength: float, visit: Visit, said: list[str]) -> tuple[dict[str, Any], list[str], Visit]:
        """What the editor shows, what is said below it, and the visitor's own."""
        return view(self.colorizer.with_strength(strength), visit.photo), said, visit


def _file_of(write: Callable[[Path], tuple[Path, list[str]]]) -> Iterator[tuple[str | None, list[str]]]:
    """The file that is written into a folder, and what there is to say; gradio copies it before the folder goes."""
    with tempfile.TemporaryDirectory() as folder:
        result: tuple[str | None, list[str]]
        try:
            path, said = write(Path(folder))
            result = str(path), said
        except UserError as error:
            result = None, [str(error)]
        yield result


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


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
