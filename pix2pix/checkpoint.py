"""Run folders and the two kinds of file in them: training checkpoints and slim generator files.

Both are read with `weights_only=True`: tensors, numbers, strings, lists and dicts, nothing that could run code.
A run is a folder `runs/001-pretrain` with config.json, split.json, history.jsonl, steps.jsonl, samples/, last.pt
(everything a resume needs), best.pt (the same, at the best validation score) and generator.pt (for inference).
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import refuse_special, replacing
from pix2pix.unet import GeneratorConfig, ImageNetNormalize, UNetGenerator

FORMAT = 1
GENERATOR_FORMATS = (1, 2)  # the first has no hints; the last is written
WIDEST = 2048  # a decoder wider than this is none that was trained, and could fill the memory
TRAINING, GENERATOR = "pix2pix training checkpoint", "pix2pix generator"
CONFIG_KEYS = {"stage", "hyperparameters", "size", "seed", "log_every", "precision", "data", "val_data"}
SHIPPED_GENERATOR = Path(__file__).parent / "weights" / "generator.pt"


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in float32 on the CPU, the size it was trained at, and what its file says of its origin."""

    network: UNetGenerator
    size: int
    about: dict[str, Any]


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


def save_training(path: Path, state: dict[str, Any]) -> None:
    _save(path, {"kind": TRAINING, "format": FORMAT, **state})


def load_training(path: Path) -> dict[str, Any]:
    """The state that `save_training` wrote, on the CPU. Raises UserError for anything else."""
    return _load(path, TRAINING, (FORMAT,))


def save_generator(path: Path, network: UNetGenerator, *, size: int, about: dict[str, Any]) -> None:
    """A slim file for inference: the weights in fp16, the shape, the training size and `about` (recipe, results)."""
    weights = {
        name: value.half() if value.is_floating_point() and "running_" not in name else value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    shape = {"decoder_widths": list(network.config.decoder_widths), "hints": network.config.hints}
    _save(
        path,
        {
            "kind": GENERATOR,
            "format": GENERATOR_FORMATS[-1],
            "shape": shape,
            "size": size,
            "about": about,
            "weights": weights,
        },
    )


def load_generator(path: Path) -> LoadedGenerator:
    """Rebuild a generator from its file. Raises UserError for a file that is missing, damaged or something else."""
    saved = _load(path, GENERATOR, GENERATOR_FORMATS)
    try:
        widths = tuple(saved["shape"]["decoder_widths"])
        if max(widths) > WIDEST:
            raise ValueError("too wide")
        with torch.device("meta"):  # no time for first weights
            network = UNetGenerator(GeneratorConfig(decoder_widths=widths, hints=bool(saved["shape"].get("hints"))))
        counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
        weights = {name: torch.tensor(0) for name in counters} | saved["weights"]
        network.load_state_dict(weights, assign=True)
        network.normalize = ImageNetNormalize()  # its constants are in no file
        return LoadedGenerator(network.float(), int(saved["size"]), saved["about"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if lacks_memory(error):
            raise
        raise UserError(f"{path} is damaged: its weights do not fit its own shape") from error


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


def _run_number(folder: Path) -> int:
    match = re.fullmatch(r"(\d+)-\w+", folder.name)
    return int(match[1]) if match else 0


def _save(path: Path, content: dict[str, Any]) -> None:
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(
            f"cannot write {path} ({reason}); is the disk full? What was saved there before is unchanged"
        ) from error


def _check_archive(path: Path) -> None:
    """Raises an error for a file that is no zip archive as torch writes them, or whose checksums do not fit.

    torch itself does not look at the checksums. Nothing in such an archive is compressed, so that reading it takes
    no more memory than the file is long.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("entries that overlap")
        if archive.testzip() is not None:
            raise ValueError("damaged")


def _load(path: Path, kind: str, formats: tuple[int, ...]) -> dict[str, Any]:
    refuse_special(path, str(path))
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no {path}") from None
    except Exception as error:  # a damaged file makes the unpickler raise almost anything
        if lacks_memory(error):
            raise
        raise UserError(f"{path} cannot be read: it is damaged or no {kind}") from error
    found = content.get("kind") if isinstance(content, dict) else None
    if found != kind:
        what = f"a {found}" if found in (TRAINING, GENERATOR) else "another program's file"
        hint = f"; use {path.parent / 'generator.pt'}" if found == TRAINING else ""
        raise UserError(f"{path} is {what}, not a {kind}{hint}")
    if content.get("format") not in formats:
        known = " and ".join(map(str, formats))
        raise UserError(f"{path} has format {content.get('format')}, this program knows {known}; update it")
    return content
