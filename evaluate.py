"""Score generators on validation photos, beside gray, the training photos' mean colour and the truth.

    python evaluate.py                                  # the latest run on its own validation photos
    python evaluate.py --weights runs/001-pretrain runs/002-gan         # side by side, with paired differences
    python evaluate.py --data FOLDER --part 0:300       # on photos of your own; on a part of them
    python evaluate.py --frechet --lpips                # what a network sees too
    python evaluate.py --protocol report                # SSIM as the report's notebook scored it, too
    python evaluate.py --human                          # a page that asks people which photo is real

Writes results.json, results.csv (a line a photo and row), results.html and photos.png. Stopped and run again, it goes
on where it was. docs/evaluation.md says what the numbers mean; none means much without the gray row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pix2pix
from pix2pix.checkpoint import LoadedGenerator, load_generator
from pix2pix.color import to_lab
from pix2pix.data.cache import PhotoSet, prepare_photos, refuse_broken
from pix2pix.data.coco import download_coco_sample
from pix2pix.data.dataset import ColorizationDataset, count_cores
from pix2pix.data.photos import Photo, find_photos
from pix2pix.data.splits import choose_photos, report_split
from pix2pix.device import choose_device
from pix2pix.errors import UserError, run_script
from pix2pix.evaluation import scoring as evaluation
from pix2pix.evaluation.figures import draw_verdict
from pix2pix.evaluation.fooling import write_human_page
from pix2pix.evaluation.frechet import InceptionFeatures, frechet_distance
from pix2pix.evaluation.intervals import LEVEL, RESAMPLES
from pix2pix.evaluation.lpips import PerceptualDistance
from pix2pix.evaluation.page import write_results_page
from pix2pix.evaluation.report_protocol import REPORT_BATCH, ReportProtocol
from pix2pix.evaluation.results import describe, tables, write_csv
from pix2pix.evaluation.scoring import Row, Scores, constant_row, model_row, score_in_chunks, score_rows
from pix2pix.evaluation.statistics import summarise
from pix2pix.files import write_json
from pix2pix.inference import gray_photos
from pix2pix.runs import find_generator, read_config, read_split

OWN_ROWS = ("gray", "mean colour", "truth")


@dataclass(frozen=True)
class Model:
    """A generator to score, the name of its row, and its file."""

    name: str
    path: Path
    sha256: str
    loaded: LoadedGenerator


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", type=Path, nargs="+", metavar="FILE|RUN", help="default: the latest run's, else the shipped ones")
    add("--data", type=Path, nargs="+", metavar="PATH", help="folders or tars of photos to score on")
    add("--part", type=part, metavar="A:B", help="photos A to B - 1 only, of all of them shuffled by the seed")
    add("--photo-size", type=int, default=256, help="photos are resized to this square (default: 256)")
    add("--strength", type=float, default=1.0, help="of the models' colours (default: 1)")
    add("--protocol", choices=("plain", "report"), default="plain", help="report: its notebook's SSIM too")
    add("--frechet", action="store_true", help="the Frechet distance to the truth too (slow on a CPU)")
    add("--inception", metavar="torchvision|fid-helper|FILE", help="the network for it (default: torchvision's)")
    add("--lpips", action="store_true", help='LPIPS too: pip install -e ".[lpips]"')
    add("--human", action="store_true", help="write the page that asks people, and score nothing")
    add("--seed", type=int, default=98, help="of the shuffling, the intervals and the page for people (default: 98)")
    add("--output", type=Path, help="folder for what is written (default: evaluation, in the run if any)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--workers", type=int, default=count_cores(), help="processes that decode photos (default: one a core)")
    add("--cache", type=Path, default=Path("~/.cache/pix2pix"), help="where decoded photos and downloads are kept")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    args = parser.parse_args()
    if args.photo_size < 32 or args.workers < 0 or args.seed < 0:
        parser.error("--photo-size must be at least 32, --workers and --seed at least 0")
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    if args.inception is not None and not args.frechet:
        parser.error("--inception is for --frechet; give both")
    if args.human and (args.frechet or args.lpips or args.protocol != "plain" or len(args.weights or []) > 1):
        parser.error("--human shows one generator's photos and scores nothing: give one --weights, and no metric")
    return args


def part(text: str) -> tuple[int, int]:
    """ "A:B" to (A, B), 0 <= A < B."""
    try:
        first, last = (int(number) for number in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not A:B, for instance 0:300") from None
    if not 0 <= first < last:
        raise argparse.ArgumentTypeError(f"{text} holds no photo; A:B are photos A to B - 1")
    return first, last


def main() -> None:
    args = parse_args()
    device = choose_device(args.device)
    inception = InceptionFeatures(args.inception or "torchvision", device) if args.frechet else None
    perceptual = PerceptualDistance(device) if args.lpips else None
    models = load_models(args, device)
    photos, source = validation_photos(args, models)
    photo_set = prepare_photos(
        photos, args.photo_size, cache=args.cache, workers=args.workers, label="validation photos"
    )
    refuse_broken(photo_set)
    run = models[0].path.parent
    output = args.output or (run if (run / "config.json").is_file() else Path()) / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    names = [model.name for model in models]
    print(
        f"{', '.join(names)} on {len(photo_set.photos)} photos of {source}, at {args.photo_size}x{args.photo_size}",
        flush=True,
    )
    mean_ab = next((model.loaded.about["mean_ab"] for model in models if "mean_ab" in model.loaded.about), None)
    rows = make_rows(models, mean_ab, args.strength)
    if args.human:
        dataset = ColorizationDataset(photo_set, photo_set.colored())
        if not len(dataset):
            raise UserError("all of the photos are near-gray: nobody could tell them from coloured ones")
        pairs = write_human_page(dataset, rows[names[0]], device, output / "human.html", name=names[0], seed=args.seed)
        print(f"written: {output / 'human.html'} ({pairs} pairs); open it in a browser")
        return

    if mean_ab is None:
        print("no row for the mean colour: the weights do not say what it was in their training photos")
    protocol = describe_protocol(args, models, photo_set, source, device) | {"mean_ab": mean_ab}
    if inception is not None:
        protocol["frechet"] = f"{inception.variant}; N = {len(photo_set.photos)}"
    if perceptual is not None:
        protocol["lpips"] = perceptual.variant
    report, batch = None, evaluation.BATCH
    if args.protocol == "report":
        report, batch = report_protocol(args, models, len(photo_set.photos)), REPORT_BATCH
    dataset = ColorizationDataset(photo_set)

    def score_batch(photos: Tensor, first: int) -> Scores:
        truth = photos.to(device)
        scores, images = score_rows(truth, rows)
        for name, image in images.items():
            if inception is not None:
                scores[name]["features"] = inception(image)
            if perceptual is not None and name != "truth":
                scores[name]["lpips"] = perceptual(image, truth)
        for name, values in report(truth, first=first == 0).items() if report is not None else ():
            scores[name] |= values
        return scores

    partial = output / f"partial-{fingerprint(protocol, photo_set, batch)}"
    scores = score_in_chunks(dataset, score_batch, partial, batch=batch, workers=args.workers)
    features = {row: values.pop("features", None) for row, values in scores.items()}
    summary = summarise(scores, names, seed=args.seed)
    distances = {}
    if inception is not None:
        distances = {row: frechet_distance(features[row], features["truth"]) for row in rows}
    print(describe(summary, distances))

    pictures = picture_maker(dataset, rows, device)
    photo_names = [photo.name for photo in photo_set.photos]
    write_json(output / "results.json", {**protocol, **tables(summary, distances), "broken": photo_set.broken})
    write_csv(output / "results.csv", scores, photo_names)
    page = output / "results.html"
    write_results_page(page, protocol, summary, distances, scores, names=names, photos=photo_names, pictures=pictures)

    def columns(photos: list[int]) -> list[tuple[str, Tensor]]:
        images = pictures(photos, ["gray", names[0], "truth"])
        return list(zip(("gray", "fake", "real"), images.values(), strict=True))

    draw_verdict(scores, names[0], columns, output / "photos.png")
    shutil.rmtree(partial)
    print(f"written: results.json, results.csv, results.html and photos.png, in {output}")


def load_models(args: argparse.Namespace, device: torch.device) -> list[Model]:
    """The generators of --weights, on the device in eval mode, each with a name of its own."""
    paths = [find_generator(given, runs=args.runs, prefer_run=True) for given in args.weights or [None]]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path} is given twice; a generator is compared with others")
    in_run = [path.name == "generator.pt" and (path.parent / "config.json").is_file() for path in paths]
    names = [path.resolve().parent.name if of_run else path.stem for path, of_run in zip(paths, in_run, strict=True)]
    models = []
    for path, name in zip(paths, names, strict=True):
        loaded = load_generator(path)
        loaded.network.to(device, memory_format=torch.channels_last).eval()
        unique = names.count(name) == 1 and name not in OWN_ROWS
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        models.append(Model(name if unique else str(path), path, sha256, loaded))
    return models


def make_rows(models: list[Model], mean_ab: list[float] | None, strength: float) -> dict[str, Row]:
    """What is scored, by name: gray, the mean colour where it is known, the models."""
    rows: dict[str, Row] = {"gray": gray_photos}
    if mean_ab is not None:
        rows["mean colour"] = constant_row(mean_ab)
    return rows | {model.name: model_row(model.loaded.network, model.loaded.size, strength) for model in models}


def validation_photos(args: argparse.Namespace, models: list[Model]) -> tuple[list[Photo], str]:
    """The photos to score on and where they are from, for people."""
    run = models[0].path.parent
    if args.data is not None:
        photos, source = find_photos(args.data), ", ".join(map(str, args.data))
    elif (run / "config.json").is_file():
        config = read_config(run)
        sources = [Path(path) for path in config["val_data"] or config["data"]]
        photos, source = choose_photos(sources, read_split(run)["validation"]), f"{run}'s validation split"
        refuse_trained_on(photos, models[1:])
    else:
        folder = download_coco_sample(args.cache)
        names = report_split([photo.name for photo in find_photos([folder])])[1]
        photos, source = choose_photos([folder], names), "the COCO sample's validation split"
    if args.part is None:
        return photos, source
    first, last = args.part
    if last > len(photos):
        raise UserError(f"--part {first}:{last} is beyond the {len(photos)} photos of {source}")
    photos = sorted(photos, key=lambda photo: photo.name)
    order = np.random.default_rng(args.seed).permutation(len(photos))[first:last]
    return [photos[row] for row in order], f"{source}, part {first}:{last}"


def refuse_trained_on(photos: list[Photo], models: list[Model]) -> None:
    """Raises UserError when one of the photos, the first run's validation split, was another run's to train on."""
    places = {photo.place for photo in photos}
    for model in models:
        run = model.path.parent
        if not (run / "config.json").is_file():
            continue
        trained = choose_photos([Path(path) for path in read_config(run)["data"]], read_split(run)["train"])
        seen = sum(photo.place in places for photo in trained)
        if seen:
            raise UserError(f"{run} was trained on {seen} of these photos; compare on others: --data FOLDER")


def report_protocol(args: argparse.Namespace, models: list[Model], count: int) -> ReportProtocol:
    if count % REPORT_BATCH == 1 and count > 1 and min(model.loaded.size for model in models) < 64:
        raise UserError(
            f"the report's protocol leaves a batch of one photo, in train mode, of {count}: batch normalisation wants "
            "more than one value; take another --part"
        )
    return ReportProtocol(
        {model.name: (model.loaded.network, model.loaded.size) for model in models}, strength=args.strength
    )


def describe_protocol(
    args: argparse.Namespace, models: list[Model], photo_set: PhotoSet, source: str, device: torch.device
) -> dict[str, Any]:
    """Everything the numbers depend on, as in results.json."""
    of = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    return {
        "models": [
            {"name": model.name, "weights": str(model.path), "sha256": model.sha256, "network_size": model.loaded.size}
            for model in models
        ],
        "strength": args.strength,
        "photos": len(photo_set.photos),
        "source": source,
        "photo_size": args.photo_size,
        "resize": "to the square, aspect not kept, Pillow's bicubic",
        "protocol": args.protocol,
        "ssim": "scikit-image's definition: 7x7 uniform window, mean over R, G, B of uint8, data range 255",
        "intervals": f"{LEVEL} %, bootstrap over photos, {RESAMPLES} resamples, percentiles",
        "seed": args.seed,
        "device": str(device),
        "versions": {"pix2pix": pix2pix.__version__, "python": platform.python_version(), **of},
    }


def fingerprint(protocol: dict[str, Any], photo_set: PhotoSet, batch: int) -> str:
    """A name for the scores: other weights, photos, settings or libraries give another one."""
    files = [(photo.name, photo.offset, photo.length or photo.path.stat().st_size) for photo in photo_set.photos]
    content = json.dumps([protocol, files, batch, evaluation.CHUNK])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def picture_maker(
    dataset: ColorizationDataset, rows: dict[str, Row], device: torch.device
) -> Callable[[list[int], list[str]], dict[str, Tensor]]:
    """`pictures(photos, names)`: these photos as those rows and the truth show them, uint8 (n, 3, H, W) each."""

    @torch.inference_mode()
    def pictures(photos: list[int], names: list[str]) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {name: [] for name in names}
        for start in range(0, len(photos), evaluation.BATCH):
            real = torch.stack([dataset[row] for row in photos[start : start + evaluation.BATCH]]).to(device)
            lightness, _ = to_lab(real)
            for name in names:
                parts[name].append((real if name == "truth" else rows[name](lightness)).cpu())
        return {name: torch.cat(images) for name, images in parts.items()}

    return pictures


if __name__ == "__main__":
    run_script(main)
