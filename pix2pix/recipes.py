"""A training stage's hyperparameters, by name: `report` has the report's, `default` has ours.

Each field of `Recipe` is a flag of train.py: its metadata holds the help text and what values are allowed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any

from pix2pix.losses import GAN_LOSSES

STAGES = ("pretrain", "gan")


def _flag(help: str, *, default: Any = None, least: float | None = None, most: float | None = None, **more: Any) -> Any:  # noqa: ANN401
    """A recipe's field with its flag: `least` and `most` bound the value, `more` goes to argparse or names a stage."""
    metadata = {"help": help, "least": least, "most": most, **more}
    return field(metadata=metadata) if default is None else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one stage trains. Learning rates are AdamW's, `batch_size` counts the photos of all processes."""

    epochs: int = _flag("passes over the training photos", least=1)
    batch_size: int = _flag("photos per step, over all processes", least=1)
    learning_rate: float = _flag("the generator's learning rate", flag="lr", least=1e-9, most=1)
    discriminator_learning_rate: float = _flag(
        "the discriminator's learning rate", default=4e-4, flag="discriminator-lr", least=1e-9, most=1, stage="gan"
    )
    betas: tuple[float, float] = _flag("AdamW's two betas", default=(0.9, 0.999), least=0, most=0.99999, nargs=2)
    weight_decay: float = _flag("AdamW's weight decay", default=0.01, least=0, most=1)
    one_cycle: bool = _flag("warm the learning rates up, then anneal them to zero; otherwise constant", default=True)
    crop: bool = _flag(
        "squash whole photos, as the report does; no random crops",
        default=True,
        flag="plain-resize",
        action="store_false",
    )
    degrade: float = _flag("share of photos whose L looks like a worn scan's", default=0.0, least=0, most=1)
    film: float = _flag("share of photos whose L is what film before 1930 saw", default=0.0, least=0, most=1)
    hints: float = _flag("share of photos given color hints at random points", default=0.0, least=0, most=1)
    recolor: float = _flag(
        "share of the photos with hints in which one thing gets another color", default=0.0, least=0, most=1
    )
    chroma: float = _flag("train on colors this many times as strong as the photos'", default=1.0, least=0.1, most=10)
    ema_decay: float = _flag("of the generator's moving average; 0 for none", default=0.998, least=0, most=0.99999)
    gan_loss: str = _flag("kind of adversarial loss", default="vanilla", choices=GAN_LOSSES, stage="gan")
    spectral_norm: bool = _flag("spectral normalization of the discriminator", default=False, stage="gan")
    lambda_l1: float = _flag("weight of L1 against the adversarial loss", default=100.0, least=0, stage="gan")
    lambda_feature: float = _flag("weight of the feature loss, relative to L1's; 0 for none", default=0.0, least=0)


RECIPES: dict[str, dict[str, Recipe]] = {
    # docs/experiments.md says what was measured of the differences between the two.
    "default": {
        "pretrain": Recipe(
            epochs=30, batch_size=32, learning_rate=1e-3, degrade=0.25, hints=2 / 3, recolor=0.25, lambda_feature=1.0
        ),
        "gan": Recipe(
            epochs=3,
            batch_size=32,
            learning_rate=1e-4,
            betas=(0.5, 0.999),
            one_cycle=False,
            discriminator_learning_rate=4e-4,
            degrade=0.25,
            hints=2 / 3,
            recolor=0.25,
            gan_loss="hinge",
            spectral_norm=True,
            lambda_l1=20.0,
            lambda_feature=1.0,
        ),
    },
    "report": {
        "pretrain": Recipe(epochs=30, batch_size=16, learning_rate=1e-4, one_cycle=False, crop=False, ema_decay=0),
        "gan": Recipe(
            epochs=70,
            batch_size=16,
            learning_rate=2e-4,
            betas=(0.5, 0.999),
            one_cycle=False,
            crop=False,
            ema_decay=0,
            discriminator_learning_rate=2e-4,
        ),
    },
}


@dataclass(frozen=True)
class Settings:
    """What defines a run's course. It is saved with the run, and a resume takes it from there."""

    stage: str
    recipe: Recipe
    size: int  # the training resolution in pixels
    seed: int
    log_every: int  # steps between two log lines, figures and checkpoints


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """A flag per field of `Recipe`; a flag that is not given is None and means "as the recipe says"."""
    for recipe_field in fields(Recipe):
        parser.add_argument(flag_of(recipe_field), dest=recipe_field.name, default=None, **_argument(recipe_field))


def changed_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of `Recipe` that were given as flags, with their values."""
    given = {recipe_field.name: getattr(args, recipe_field.name) for recipe_field in fields(Recipe)}
    given = {name: value for name, value in given.items() if value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def flag_of(recipe_field: Field) -> str:
    """The flag of a recipe's field, for instance "--batch-size"."""
    return "--" + recipe_field.metadata.get("flag", recipe_field.name.replace("_", "-"))


def _argument(recipe_field: Field) -> dict[str, Any]:
    """The field's metadata as arguments of argparse's `add_argument`."""
    metadata = dict(recipe_field.metadata)
    least, most = metadata.pop("least"), metadata.pop("most")
    stage = metadata.pop("stage", None)
    metadata.pop("flag", None)
    if stage:
        metadata["help"] += f" (--stage {stage})"
    kind = recipe_field.type
    if kind == "bool":
        return {"action": argparse.BooleanOptionalAction} | metadata
    if kind == "str":
        return metadata
    number = int if kind == "int" else float
    return metadata | {"type": _within(number, least, most), "metavar": "N" if number is int else "X"}


def _within(number: type, least: float | None, most: float | None) -> Callable[[str], float]:
    """A converter for argparse that refuses values outside [least, most] and NaN."""

    def convert(text: str) -> float:
        value = number(text)
        if least is not None and not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is too small; it must be at least {least:g}")
        if most is not None and not value <= most:
            raise argparse.ArgumentTypeError(f"{text} is too large; it must be at most {most:g}")
        return value

    convert.__name__ = number.__name__  # argparse names it where the text is no number
    return convert
