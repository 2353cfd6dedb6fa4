"""The generators of an evaluation, and the methods that come from them."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pix2pix.checkpoint import LoadedGenerator, load_generator
from pix2pix.color import rgb_to_lab
from pix2pix.data.hint_sampling import sample_hints
from pix2pix.errors import UserError
from pix2pix.evaluation.inputs import seen_lightness
from pix2pix.evaluation.methods import (
    GRAY,
    MEAN_COLOR,
    TRUTH,
    Batch,
    Measure,
    Method,
    constant_method,
    generator_method,
    gray_method,
    predict_photos,
)
from pix2pix.evaluation.points import adherence, draw_squares, spill
from pix2pix.evaluation.skin import compare_skin
from pix2pix.runs import find_generator
from pix2pix.unet import fold_batch_norm


@dataclass(frozen=True)
class Model:
    """A generator to score, the name of its row, and its file."""

    name: str
    path: Path
    sha256: str
    loaded: LoadedGenerator


def load_models(weights: Sequence[Path | None], runs: Path, device: torch.device, *, fold: bool = True) -> list[Model]:
    """The generators, on the device in eval mode, each with a name of its own; None stands for the default.

    With `fold` their batch norm is folded into the convolutions, which is faster and changes roundings alone.
    """
    paths = [find_generator(given, runs=runs, prefer_run=True) for given in weights]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path} is given twice; a generator is compared with others")
    in_run = [path.name == "generator.pt" and (path.parent / "config.json").is_file() for path in paths]
    names = [path.resolve().parent.name if of_run else path.stem for path, of_run in zip(paths, in_run, strict=True)]
    models = []
    for path, name in zip(paths, names, strict=True):
        loaded = load_generator(path)
        loaded.network.eval()
        if fold:
            fold_batch_norm(loaded.network)
        loaded.network.to(device).to(memory_format=torch.channels_last)
        unique = names.count(name) == 1 and name not in (GRAY, MEAN_COLOR, TRUTH)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        models.append(Model(name if unique else str(path), path, sha256, loaded))
    return models


def known_mean_ab(models: Sequence[Model]) -> list[float] | None:
    """The mean a and b of the training photos, of the first model whose file says it."""
    return next((model.loaded.about["mean_ab"] for model in models if "mean_ab" in model.loaded.about), None)


def make_methods(models: Sequence[Model], args: argparse.Namespace) -> list[Method]:
    """What is scored: gray, the mean color where it is known, and every model as `args` ask for it.

    Raises UserError when points are asked for and no model takes any.
    """
    methods = [gray_method()]
    mean_ab = known_mean_ab(models)
    if mean_ab is not None:
        methods.append(constant_method(mean_ab))
    counts = sorted({count for count in args.points or () if count})
    check_models_take_points(models, counts)
    for number, model in enumerate(models):
        method = generator_method(model.name, model.loaded.network, model.loaded.size, args.strength)
        if number:
            method = replace(method, bases=(GRAY, models[0].name))
        takes_points = counts and model.loaded.network.takes_hints
        if takes_points:
            method = replace(method, measures=(spill_measure(model, args.strength, args.seed),))
        methods.append(method)
        if takes_points:
            methods += [points_method(model, count, args.strength, args.seed) for count in counts]
        methods += [old_photo_method(model, kind, args.strength, args.seed) for kind in dict.fromkeys(args.input)]
    if args.skin:
        methods = [replace(method, measures=(*method.measures, _skin)) for method in methods]
    return methods


def check_models_take_points(models: Sequence[Model], counts: Sequence[int]) -> None:
    """Says which models take no points; raises UserError when none does."""
    without = [model.name for model in models if not model.loaded.network.takes_hints]
    if not counts or not without:
        return
    if len(without) == len(models):
        raise UserError(f"{', '.join(without)} takes no points: it was trained without; leave --points out")
    print(f"no rows with points for {', '.join(without)}: trained without")


def points_curves(methods: Sequence[Method], counts: Sequence[int]) -> dict[str, list[tuple[int, str]]]:
    """For each model with points: how many, and the row that has them; the automatic row where `counts` has 0."""
    curves: dict[str, list[tuple[int, str]]] = {}
    for method in methods:
        if method.points:
            automatic = [(0, method.bases[0])] if 0 in counts else []
            curves.setdefault(method.bases[0], automatic).append((method.points, method.name))
    return curves


def old_photo_method(model: Model, kind: str, strength: float, seed: int) -> Method:
    """The model sees the L of an old photo; its colors are joined to the photo's own L, so only colors are compared."""

    def colorize(batch: Batch) -> Tensor:
        seen = seen_lightness(kind, batch.photos, batch.numbers, seed)
        return predict_photos(model.loaded.network, model.loaded.size, strength, batch, seen=seen)

    return Method(f"{model.name}, {kind}", colorize, bases=(model.name,))


def points_method(model: Model, count: int, strength: float, seed: int) -> Method:
    """The model is given the true colors at `count` random places."""

    def squares(batch: Batch) -> Tensor:
        return draw_squares(batch.numbers, count, batch.photos.shape[-1], seed)

    def colorize(batch: Batch) -> Tensor:
        hints = sample_hints(batch.ab, squares(batch))
        return predict_photos(model.loaded.network, model.loaded.size, strength, batch, hints=hints)

    def measure(batch: Batch, lab: Tensor) -> dict[str, Tensor]:
        return {"adherence": adherence(lab[:, 1:], batch.lab[:, 1:], squares(batch))}

    name = f"{model.name}, {count} point{'s' if count > 1 else ''}"
    return Method(name, colorize, bases=(model.name,), measures=(measure,), points=count)


def spill_measure(model: Model, strength: float, seed: int) -> Measure:
    """How far one wrong color spreads: `spill` of the model's automatic colors."""

    def measure(batch: Batch, lab: Tensor) -> dict[str, Tensor]:
        def with_hints(hints: Tensor) -> Tensor:
            photos = predict_photos(model.loaded.network, model.loaded.size, strength, batch, hints=hints)
            return rgb_to_lab(photos.float() / 255)

        squares = draw_squares(batch.numbers, 1, batch.photos.shape[-1], seed)
        return {"spill": spill(lab, with_hints, squares, batch.numbers, seed)}

    return measure


def _skin(batch: Batch, lab: Tensor) -> dict[str, Tensor]:
    return compare_skin(lab, batch.lab)
