"""Score generators on validation photos, beside gray, the training photos' mean color and the truth.

    python evaluate.py                                  # the latest run on its own validation photos
    python evaluate.py --weights runs/001-pretrain runs/002-gan         # side by side, with paired differences
    python evaluate.py --data FOLDER --part 0:300       # on photos of your own; on a part of them
    python evaluate.py --points 0 1 5 10 --input worn sepia --skin      # with points; as old photos; skin
    python evaluate.py --frechet --lpips                # also what a network sees
    python evaluate.py --protocol report                # also SSIM as the report's notebook scored it
    python evaluate.py --human                          # a page that asks people which photo is real
    torchrun --standalone --nproc_per_node=2 evaluate.py                # the photos shared out

Writes results.json, results.csv (a line per photo and row), results.html and photos.png. Stopped and run again, it goes
on where it was. docs/evaluation.md says what the numbers mean; none means much without the gray row.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pix2pix.data.cache import PhotoSet, prepare_photos, refuse_broken
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.distributed import join_world, main_first, start_device
from pix2pix.errors import UserError, run_script
from pix2pix.evaluation import scoring
from pix2pix.evaluation.arguments import parse_args
from pix2pix.evaluation.fooling import write_fooling_page
from pix2pix.evaluation.frechet import InceptionFeatures, frechet_distance
from pix2pix.evaluation.lpips import PerceptualDistance
from pix2pix.evaluation.methods import TRUTH, Batch, Method
from pix2pix.evaluation.models import Model, load_models, make_methods, points_curves
from pix2pix.evaluation.outputs import write_outputs
from pix2pix.evaluation.protocol import describe_protocol, fingerprint
from pix2pix.evaluation.report_protocol import REPORT_BATCH, ReportProtocol, refuse_batch_of_one
from pix2pix.evaluation.results import Results, describe
from pix2pix.evaluation.selection import choose_validation_photos
from pix2pix.evaluation.statistics import summarize


def main() -> None:
    args, world = parse_args(__doc__), join_world()
    device = start_device(args.device, world)
    watchers = load_watchers(args, device)
    models = load_models(args.weights or [None], args.runs, device, fold=args.protocol != "report")
    methods = make_methods(models, args)
    with main_first(world):
        photos, source = choose_validation_photos(args, models)
        photo_set = prepare_photos(
            photos, args.photo_size, cache=args.cache, workers=args.workers, label="validation photos"
        )
    refuse_broken(photo_set)
    names, count = [model.name for model in models], len(photo_set.photos)
    if args.frechet and count < 2:
        raise UserError("--frechet compares sets of photos, and here is one: give more, or leave it out")
    output = make_output_folder(args, models)
    size = f"{args.photo_size}x{args.photo_size}"
    print(f"{', '.join(names)} on {count} photos of {source}, at {size}", flush=True)
    if args.human:
        if world.is_main:
            method = next(method for method in methods if method.name == names[0])
            pairs = write_fooling_page(output / "human.html", photo_set, method, device, seed=args.seed)
            print(f"written: {output / 'human.html'} ({pairs} pairs); open it in a browser")
        return

    protocol = describe_protocol(args, models, photo_set, source, device)
    protocol |= {name: f"{watcher.variant}; N = {count}" for name, watcher in watchers.items()}
    if protocol["mean_ab"] is None:
        print("no row for the mean color: the weights do not say what it was in their training photos")
    extras = [watcher.score for watcher in watchers.values()]
    if args.protocol == "report":
        extras.append(report_protocol(args, models, count).score)
    dataset = ColorizationDataset(photo_set)

    def score_photos(photos: Tensor, numbers: list[int]) -> scoring.Scores:
        return scoring.score_batch(Batch.of(photos.to(device), numbers), methods, extras)

    batch = REPORT_BATCH if args.protocol == "report" else scoring.BATCH
    # The report's protocol moves running statistics batch by batch.
    on_cores = device.type == "cpu" and args.protocol == "plain"
    partial = output / f"partial-{fingerprint(protocol, photo_set, batch)}"
    scores = scoring.score_in_chunks(
        dataset, score_photos, partial, batch=batch, workers=args.workers, on_cores=on_cores, world=world
    )
    if world.is_main:
        results = summarize_scores(args, protocol, scores, methods, names, photo_set)
        print(describe(results.summary, results.distances))
        write_outputs(output, results, dataset, methods, device)
        shutil.rmtree(partial)


def load_watchers(args: argparse.Namespace, device: torch.device) -> dict[str, InceptionFeatures | PerceptualDistance]:
    """The networks that look at photos too, by the name that they have in results.json."""
    watchers: dict[str, InceptionFeatures | PerceptualDistance] = {}
    if args.frechet:
        watchers["frechet"] = InceptionFeatures(args.inception or "torchvision", device)
    if args.lpips:
        watchers["lpips"] = PerceptualDistance(device)
    return watchers


def report_protocol(args: argparse.Namespace, models: Sequence[Model], count: int) -> ReportProtocol:
    refuse_batch_of_one(count, [model.loaded.size for model in models])
    generators = {model.name: (model.loaded.network, model.loaded.size) for model in models}
    return ReportProtocol(generators, strength=args.strength)


def make_output_folder(args: argparse.Namespace, models: Sequence[Model]) -> Path:
    run = models[0].path.parent
    output = args.output or (run if (run / "config.json").is_file() else Path()) / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    return output


def summarize_scores(
    args: argparse.Namespace,
    protocol: dict[str, Any],
    scores: scoring.Scores,
    methods: Sequence[Method],
    names: list[str],
    photo_set: PhotoSet,
) -> Results:
    """The scores' means and differences, the Frechet distances, and which rows have how many points."""
    features = {name: values.pop("features") for name, values in scores.items() if "features" in values}
    distances = {name: frechet_distance(found, features[TRUTH]) for name, found in features.items() if name != TRUTH}
    pairs = [(method.name, base) for method in methods for base in method.bases]
    return Results(
        protocol=protocol,
        summary=summarize(scores, pairs, seed=args.seed),
        scores=scores,
        distances=distances,
        curves=points_curves(methods, args.points or []),
        models=names,
        photos=[photo.name for photo in photo_set.photos],
    )


if __name__ == "__main__":
    run_script(main)
