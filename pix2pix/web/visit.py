"""What one visitor of the page has there: some photos, one of them chosen, and what they ask for.

Nothing here needs gradio; `page` ties these functions to what is on the screen.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import colorize_file, target_of
from pix2pix.photofile.folder import colorize_files
from pix2pix.photofile.points import SUFFIX, parse_points, write_points
from pix2pix.photofile.tasks import Task
from pix2pix.web.editor import EditedPhoto, is_on_first_page, open_photo, preview

NO_PHOTO = "there is no photo here any more (each is removed after an hour); drop it again"


@dataclass
class Visit:
    """The photos of a visitor by the paths they were uploaded to, and the path of the one that is shown."""

    photos: dict[str, EditedPhoto] = field(default_factory=dict)
    chosen: str | None = None

    @property
    def photo(self) -> EditedPhoto | None:
        """The photo that is shown; None where there is none."""
        return self.photos.get(self.chosen or "")

    def require_photo(self) -> EditedPhoto:
        """The photo that is shown. Raises UserError where there is none."""
        if self.photo is None:
            raise UserError(NO_PHOTO)
        return self.photo

    def drop(self, paths: Iterable[str], max_pixels: int) -> list[str]:
        """Keep the photos of these paths, open the new ones, show the first of these; returns what there is to say."""
        said: list[str] = []
        kept: dict[str, EditedPhoto] = {}
        for path in paths:
            try:
                kept[path] = self.photos.get(path) or open_photo(Path(path), max_pixels)
            except UserError as error:
                said.append(str(error))
        new = [path for path in kept if path not in self.photos]
        said += [f"{kept[path].path.name}: {note}" for path in new for note in kept[path].notes]
        self.photos = kept
        if new or self.chosen not in kept:
            self.chosen = next(iter(new or kept), None)
        return said

    def names(self) -> list[tuple[str, str]]:
        """(name, path) of every photo; a name that comes again has its number."""
        seen: set[str] = set()
        names = []
        for number, (path, photo) in enumerate(self.photos.items(), start=1):
            name = photo.path.name
            names.append((f"{name} ({number})" if name in seen else name, path))
            seen.add(name)
        return names

    def edit(self, change: dict[str, Any]) -> None:
        """Change the points of the photo that is shown, as the editor in the browser asks.

        {"do": "place", "x": ..., "y": ..., "color": ...}, {"do": "remove", "number": ...}, {"do": "undo"},
        {"do": "clear"} or {"do": "load", "name": ..., "text": ...}. Raises UserError for what cannot be done.
        """
        photo = self.require_photo()
        try:
            match change["do"]:
                case "place":
                    photo.place(float(change["x"]), float(change["y"]), change["color"])
                case "remove":
                    photo.remove(int(change["number"]))
                case "undo":
                    photo.undo()
                case "clear":
                    photo.clear()
                case "load":
                    photo.load(parse_points(str(change["text"]), str(change["name"])))
                case _:
                    raise KeyError("do")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError("the page asked for something that it cannot do; load it again") from error


def view(colorizer: Colorizer, photo: EditedPhoto | None) -> dict[str, Any]:
    """What the editor in the browser draws: a JSON object."""
    if photo is None:
        return {"takes_points": colorizer.takes_points, "photo": None}
    small = preview(colorizer, photo)
    points = [
        {
            "number": number,
            "x": (int(point.x) + 0.5) / photo.width,
            "y": (int(point.y) + 0.5) / photo.height,
            "asked": point.color,
            "shown": color,
        }
        for number, (point, color) in enumerate(zip(photo.points, small.shown, strict=True))
        if is_on_first_page(point)
    ]
    return {
        "takes_points": colorizer.takes_points,
        "photo": photo.path.name,
        "aspect": photo.width / photo.height,
        "gray": _data_url(small.gray, photo.alpha),
        "color": _data_url(small.color, photo.alpha),
        "points": points,
        "undo": bool(photo.before),
    }


def write_full_size(colorizer: Colorizer, photo: EditedPhoto, folder: Path, max_pixels: int) -> tuple[Path, list[str]]:
    """The photo at full size with its points, as the command line writes it: its file, and what there is to say."""
    written = folder / _result_name(photo)
    name, points = photo.path.name, _points_of(photo)
    notes = colorize_file(colorizer, photo.path, written, name=name, max_pixels=max_pixels, points=points)
    return written, [f"{name}: {note}" for note in notes]


def write_all(
    colorizer: Colorizer, photos: Iterable[EditedPhoto], folder: Path, max_pixels: int
) -> tuple[Path, list[str]]:
    """The same of several photos in one zip file; what fails is said and left out."""
    photo_of = {
        Task(photo.path, folder / str(number) / _result_name(photo)): photo for number, photo in enumerate(photos)
    }
    results = colorize_files(
        colorizer,
        list(photo_of),
        lambda task: (_points_of(photo_of[task]), []),
        name_of=lambda task: task.source.name,
        max_pixels=max_pixels,
    )
    said: list[str] = []
    with zipfile.ZipFile(folder / "colorized.zip", "w") as archive:  # photos are compressed already
        for task, outcome in results:
            if isinstance(outcome, UserError):
                said.append(str(outcome))
                continue
            said += [f"{task.source.name}: {note}" for note in outcome]
            name, taken = task.target.name, archive.namelist()
            number = 1
            while name in taken:
                number += 1
                name = f"{task.target.stem} ({number}){task.target.suffix}"
            archive.write(task.target, name)
            task.target.unlink()
    return folder / "colorized.zip", said


def _result_name(photo: EditedPhoto) -> str:
    return target_of(Path(photo.path.name), Path(photo.path.name), None).name


def _points_of(photo: EditedPhoto) -> list[Point]:
    """The photo's points. Raises UserError where its file is gone."""
    if not photo.path.is_file():
        raise UserError(f"{photo.path.name} was removed an hour after it was dropped; drop it again")
    return photo.points


def write_photo_points(photo: EditedPhoto, folder: Path) -> tuple[Path, list[str]]:
    """The photo's points file, named as the command line looks for it beside the photo, and nothing to say."""
    path = folder / f"{photo.path.stem}{SUFFIX}"
    write_points(path, photo.points)
    return path, []


def _data_url(rgb: np.ndarray, alpha: np.ndarray | None) -> str:
    """uint8 (h, w, 3) and alpha (h, w) as a picture inside a text: JPEG, or WebP where the photo is transparent."""
    content = io.BytesIO()
    kind = "jpeg" if alpha is None else "webp"
    picture = Image.fromarray(rgb if alpha is None else np.dstack((rgb, alpha)))
    picture.save(content, kind, quality=90, **({} if alpha is None else {"method": 1}))
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
