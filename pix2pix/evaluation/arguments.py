"""The flags of evaluate.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from pix2pix.evaluation.inputs import INPUTS
from pix2pix.threads import count_cores

MOST_POINTS = 1000


def parse_args(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", type=Path, nargs="+", metavar="FILE|RUN", help="default: the latest run's, else the shipped ones")
    add("--data", type=Path, nargs="+", metavar="PATH", help="folders or tars of photos to score on")
    add("--part", type=part, metavar="A:B", help="photos A to B - 1 only, of all of them shuffled by the seed")
    add("--photo-size", type=int, default=256, help="photos are resized to this square (default: 256)")
    add("--strength", type=float, default=1.0, help="multiplies the generators' colors (default: 1)")
    add("--points", type=int, nargs="+", metavar="N", help="also score with N points of the true color, for each N")
    add("--input", choices=INPUTS, nargs="+", default=[], help="also score with the lightness of such old photos")
    add("--skin", action="store_true", help="also compare hue and chroma of skin")
    add("--protocol", choices=("plain", "report"), default="plain", help="report: also its notebook's SSIM")
    add("--frechet", action="store_true", help="also the Frechet distance to the truth (slow on a CPU)")
    add("--inception", metavar="torchvision|fid-helper|FILE", help="the network for it (default: torchvision's)")
    add("--lpips", action="store_true", help='also LPIPS: pip install -e ".[lpips]"')
    add("--human", action="store_true", help="write a page that asks people which photo is real, and score nothing")
    add("--seed", type=int, default=98, help="for shuffling, intervals, points, inputs and --human (default: 98)")
    add("--output", type=Path, help="folder for the results (default: evaluation, in the run if there is one)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--workers", type=int, default=count_cores(), help="threads that decode photos (default: one per core)")
    add("--cache", type=Path, default=Path("~/.cache/pix2pix"), help="where decoded photos and downloads are kept")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    args = parser.parse_args()
    _check(parser, args)
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


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program for flags that are out of range or do not go together."""
    if args.photo_size < 32 or args.workers < 0 or args.seed < 0:
        parser.error("--photo-size must be at least 32, --workers and --seed at least 0")
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    if args.points is not None and not 0 <= min(args.points) <= max(args.points) <= MOST_POINTS:
        parser.error(f"--points takes numbers from 0 to {MOST_POINTS}")
    if args.inception is not None and not args.frechet:
        parser.error("--inception is for --frechet; give both")
    scored = args.frechet or args.lpips or args.skin or args.input or args.points or args.protocol != "plain"
    if args.human and (scored or len(args.weights or []) > 1):
        parser.error("--human shows one generator's photos and scores nothing: give one --weights, and no metric")
