"""Going on with a run that was stopped: the same flags, the same photos, and the state as it was saved."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from pix2pix.errors import UserError
from pix2pix.recipes import Recipe, flag_of
from pix2pix.runs import Run
from pix2pix.state import State
from pix2pix.unet import GeneratorConfig, UNetGenerator

# Flags that define a run, as every flag of the recipe does: a resume takes them from the run and refuses others.
RUN_FLAGS = {
    "stage": "--stage",
    "data": "--data",
    "val_data": "--val-data",
    "recipe": "--recipe",
    "size": "--size",
    "encoder": "--encoder",
    "start": "--from",
    "seed": "--seed",
    "log_every": "--log-every",
    "precision": "--precision",
}


def check_unchanged(args: argparse.Namespace, config: dict[str, Any]) -> None:
    """Raises UserError when a flag differs from what the run that is resumed was started with."""
    of_run = {flag: (name, config.get(name)) for name, flag in RUN_FLAGS.items()}
    for field in fields(Recipe):
        of_run[flag_of(field)] = (field.name, config["hyperparameters"].get(field.name))
    for flag, (name, before) in of_run.items():
        given = getattr(args, name)
        if isinstance(given, Path):
            given = str(given.absolute())
        elif isinstance(given, list):
            given = [str(value.absolute()) if isinstance(value, Path) else value for value in given]
        if given is not None and given != before:
            raise UserError(
                f"{args.resume} was started with {flag} {before}, not {given}; a resume keeps the run's settings: "
                f"drop {flag}, or start a new run without --resume"
            )


def saved_generator(run: Run) -> UNetGenerator:
    """A generator of the run's shape, for `restore` to fill."""
    shape = dict(run.config.get("generator", {}))
    if "decoder_widths" in shape:
        shape["decoder_widths"] = tuple(shape["decoder_widths"])
    return UNetGenerator(GeneratorConfig(**shape))


def restore(state: State, run: Run, photos: int) -> None:
    """Fill `state` from the run's last.pt. Raises UserError when that does not fit the settings or `photos`."""
    assert run.saved is not None
    if run.saved.get("photos") != photos:
        raise UserError(
            f"{run.folder} was trained on {run.saved.get('photos')} photos, now {photos} of them can be used; put the "
            "others back, or start a new run"
        )
    try:
        state.load_state_dict(run.saved)
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{run.folder / 'last.pt'} does not fit the settings in config.json beside it") from error
