"""The two kinds of weights file: training checkpoints (last.pt, best.pt) and slim generator files (generator.pt).

Both are read with `weights_only=True`: tensors, numbers, strings, lists and dicts, nothing that could run code.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import refuse_special, replacing
from pix2pix.unet import GeneratorConfig, ImageNetNormalize, UNetGenerator

TRAINING_FORMATS = (2,)
GENERATOR_FORMATS = (1, 2)  # the first has no hints; the last is written
WIDEST = 2048  # a decoder wider than this is none that was trained, and could fill the memory
TRAINING, GENERATOR = "pix2pix training checkpoint", "pix2pix generator"


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in float32 on the CPU, the size it was trained at, and what its file says of its origin."""

    network: UNetGenerator
    size: int
    about: dict[str, Any]


def save_training(path: Path, state: dict[str, Any]) -> None:
    _save(path, {"kind": TRAINING, "format": TRAINING_FORMATS[-1], **state})


def load_training(path: Path) -> dict[str, Any]:
    """The state that `save_training` wrote, on the CPU. Raises UserError for anything else."""
    return _load(path, TRAINING, TRAINING_FORMATS)


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
        found, known = content.get("format"), " and ".join(map(str, formats))
        older = isinstance(found, int) and found < formats[0]
        advice = "an older version wrote it" if older else "update the program"
        raise UserError(f"{path} has format {found}, this program knows {known}: {advice}")
    return content
