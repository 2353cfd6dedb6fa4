"""Run folders: `runs/001-pretrain` with a run's settings, its photos' names, its histories and its checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pix2pix.checkpoint import load_generator, load_training
from pix2pix.errors import UserError
from pix2pix.files import write_json
from pix2pix.locks import try_lock
from pix2pix.recipes import Recipe, Settings

CONFIG_KEYS = {"stage", "hyperparameters", "size", "seed", "log_every", "precision", "data", "val_data"}
SHIPPED_GENERATOR = Path(__file__).parent / "weights" / "generator.pt"
HALF_WRITTEN = re.compile(r"\..+-\w{8}\.(pt|png|jsonl?)")  # the names that `replacing` gives a run's files


@dataclass
class Run:
    """A training run: its folder's path, and what its config.json and split.json say.

    `split` has the names of the "train" and "validation" photos. `saved` is the content of last.pt for a run that is
    resumed, None for a new one, whose folder `create` makes.
    """

    folder: Path
    config: dict[str, Any]
    split: dict[str, list[str]]
    saved: dict[str, Any] | None = None

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """A run that was stopped. Raises UserError when it cannot be gone on with, and names the file that is good."""
        run = cls(folder, read_config(folder), read_split(folder))
        try:
            run.saved = load_training(folder / "last.pt")
        except UserError as error:
            raise UserError(f"{error}{_good_file(folder)}") from error
        if run.saved.get("stage") != run.config["stage"]:
            raise UserError(
                f"{folder / 'last.pt'} is of stage {run.saved.get('stage')}, its run of {run.config['stage']}"
            )
        return run

    @property
    def settings(self) -> Settings:
        """Raises UserError when config.json has hyperparameters that this program does not know."""
        config = self.config
        try:
            hyperparameters = config["hyperparameters"] | {"betas": tuple(config["hyperparameters"]["betas"])}
            recipe = Recipe(**hyperparameters)
        except (TypeError, KeyError):
            path = self.folder / "config.json"
            raise UserError(f"{path} has hyperparameters that this program does not know") from None
        return Settings(config["stage"], recipe, config["size"], config["seed"], config["log_every"])

    def create(self) -> None:
        """Make the folder of a new run, one number above the highest in `folder`, which is that of all runs."""
        self.folder = create_run(self.folder, self.config["stage"])
        write_json(self.folder / "config.json", self.config)

    def write_split(self) -> None:
        write_json(self.folder / "split.json", self.split)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while the run is trained, and remove what a killed process left half-written.

        Raises UserError when another process trains it.
        """
        with (self.folder / "config.json").open("r+") as file:
            free = try_lock(file.fileno())
            if free is False:
                raise UserError(f"{self.folder} is being trained by another process: wait until it ends, or stop it")
            if free:
                for folder in (self.folder, self.folder / "samples"):
                    for path in folder.glob(".*"):
                        if HALF_WRITTEN.fullmatch(path.name):
                            path.unlink()
            yield


def create_run(runs: Path, stage: str) -> Path:
    """A new folder `runs/NNN-stage`, one number above the highest there."""
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        number = 1 + max((_run_number(folder) for folder in runs.iterdir()), default=0)
        run = runs / f"{number:03d}-{stage}"
        try:
            (run / "samples").mkdir(parents=True)
            return run
        except FileExistsError:  # another run took the number meanwhile
            continue


def latest_run(runs: Path, stage: str = "") -> Path | None:
    """The highest-numbered run of the stage (or of any) that has a generator file, or None."""
    found = [
        run
        for run in (runs.iterdir() if runs.is_dir() else ())
        if _run_number(run) and run.name.endswith(stage) and (run / "generator.pt").is_file()
    ]
    return max(found, key=_run_number, default=None)


def read_config(run: Path) -> dict[str, Any]:
    """A run's config.json. Raises UserError when `run` is no run's folder."""
    try:
        config = json.loads((run / "config.json").read_text())
        missing = CONFIG_KEYS - config.keys()
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{run} is not the folder of a run (it has no readable config.json)") from None
    if missing:
        raise UserError(f"{run / 'config.json'} is not a run's: it lacks {', '.join(sorted(missing))}")
    return config


def read_split(run: Path) -> dict[str, list[str]]:
    """A run's split.json: the names of its "train" and "validation" photos."""
    try:
        split = json.loads((run / "split.json").read_text())
        return {part: [str(name) for name in split[part]] for part in ("train", "validation")}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{run / 'split.json'} is missing or damaged; start a new run") from None


def find_generator(given: Path | None, *, runs: Path, prefer_run: bool = False) -> Path:
    """The generator file to use: `given` (a file or a run's folder), else the shipped one, else the latest run's.

    With `prefer_run` the latest run comes before the shipped file.
    """
    if given is not None:
        if given.is_dir():
            if not (given / "generator.pt").is_file():
                raise UserError(f"there is no generator.pt in {given}; give a run's folder or a generator file")
            return given / "generator.pt"
        return given
    run = latest_run(runs)
    candidates = [SHIPPED_GENERATOR] if SHIPPED_GENERATOR.is_file() else []
    if run is not None:
        candidates.insert(0 if prefer_run else len(candidates), run / "generator.pt")
    if not candidates:
        raise UserError(f"no weights: none are shipped and {runs} has no run; train one or give --weights FILE")
    return candidates[0]


def _good_file(run: Path) -> str:
    """What of a run can be gone on from without its last.pt, for people."""
    with suppress(UserError):
        epoch = load_training(run / "best.pt")["epoch"]
        return f"; {run / 'best.pt'} is good and stands after epoch {epoch}: copy it over last.pt to go on from there"
    with suppress(UserError):
        load_generator(run / "generator.pt")
        return f"; best.pt cannot be read either; generator.pt is good: start a new run with --from {run}"
    return ""


def _run_number(folder: Path) -> int:
    match = re.fullmatch(r"(\d+)-\w+", folder.name)
    return int(match[1]) if match else 0
