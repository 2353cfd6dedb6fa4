"""Train the colorizer, one stage at a time; every run gets a folder of its own under `runs`.

python train.py --stage pretrain                    # no discriminator, on the COCO sample (3.2 GB, downloaded once)
python train.py --stage pretrain --data FOLDER      # the same on your own photos
python train.py --stage gan                         # GAN + L1 + features, from the latest pretrain run, its photos
python train.py --resume runs/001-pretrain          # go on with a run that was stopped
torchrun --nproc_per_node=2 train.py --stage gan    # data-parallel, on CPUs or GPUs
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import torch

from pix2pix.allocation import keep_freed_memory
from pix2pix.data.building import resolve_cache
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.device import PRECISIONS, choose_precision
from pix2pix.distributed import World, from_main, join_world, lost_processes_named, main_first, start_device
from pix2pix.errors import UserError, run_script
from pix2pix.new_run import describe_origin, first_feature_loss, first_generator, new_run
from pix2pix.recipes import RECIPES, STAGES, Recipe, add_recipe_flags, flag_of
from pix2pix.recorder import Recorder, check_tensorboard, keep_lines
from pix2pix.resume import check_unchanged, restore, saved_generator
from pix2pix.run_data import open_data
from pix2pix.runs import Run, read_config
from pix2pix.state import State, create_state
from pix2pix.threads import count_cores
from pix2pix.training import train

# Flags of the machine: a resume may change them; those that the run has saved hold until it does.
PLACE_FLAGS = {"device": "auto", "workers": None, "cache": "~/.cache/pix2pix", "tensorboard": False}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--stage", choices=STAGES, help="pretrain: the generator alone; gan: with the discriminator")
    add("--resume", type=Path, metavar="RUN", help="go on with this run, with its own settings")
    add("--data", type=Path, nargs="+", metavar="PATH", help="folders or tars of photos (default: the COCO sample)")
    add("--val-data", type=Path, nargs="+", metavar="PATH", help="photos to validate on (default: a part of --data)")
    add("--recipe", choices=RECIPES, help="report: the report's hyperparameters (default: ours)")
    add("--size", type=int, help="training resolution in pixels (default: 256)")
    add("--encoder", metavar="imagenet|none|FILE", help="first weights of the encoder and of the feature loss")
    add("--from", dest="start", type=Path, metavar="RUN|FILE", help="start from this run or generator file")
    add("--seed", type=int, help="of the split, the order, the crops and new weights (default: 98)")
    add("--log-every", type=int, metavar="STEPS", help="steps between figures and printed losses (default: 250)")
    add("--precision", choices=PRECISIONS, help="default: auto, bf16 where the device computes in it")
    add("--device", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    add("--workers", type=int, help="threads that decode photos (default: one per core)")
    add("--cache", type=Path, help="where decoded photos and downloads are kept (default: ~/.cache/pix2pix)")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    add("--tensorboard", action="store_true", default=None, help="write TensorBoard files into the run too")
    add_recipe_flags(parser)
    args = parser.parse_args()
    if args.resume is None and args.stage is None:
        parser.error("give --stage pretrain, --stage gan or --resume RUN")
    for name, least in {"size": 32, "log_every": 1, "seed": 0, "workers": 0}.items():
        if getattr(args, name) is not None and getattr(args, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}")
    for field in fields(Recipe):
        if args.stage == "pretrain" and field.metadata.get("stage") == "gan" and getattr(args, field.name) is not None:
            parser.error(f"{flag_of(field)} does not belong to --stage pretrain")
    if args.encoder not in (None, "imagenet", "none"):
        args.encoder = str(Path(args.encoder).absolute())  # a resume may be started from elsewhere
    has_photos = args.resume or (args.start.is_dir() if args.start else args.stage == "gan")
    if args.val_data and not args.data and not has_photos:
        parser.error("--val-data needs --data: which photos are to be trained on?")
    return args


def main() -> None:
    args, world = parse_args(), join_world()
    take_place_flags(args)
    device = start_device(args.device, world)
    with ExitStack() as locks:
        run = open_run(args, world, locks)
        training, validation, state = prepare(args, run, world, device)
        if run.saved is None and world.is_main:
            run.create()
            locks.enter_context(run.lock())
            run.write_split()
        run.folder = from_main(run.folder)
        if state.epoch == state.recipe.epochs:
            print(f"{run.folder} is finished: all {state.epoch} epochs are done")
            return
        where = f"epoch {state.epoch + 1} of {state.recipe.epochs}, step {state.step}"
        print(f"run {run.folder}: {run.config['stage']}, {where}")
        recorder = Recorder(
            run.folder,
            validation,
            about=describe_origin(run.config, training),
            training_photos=len(training),
            device=device,
            writes=world.is_main,
            tensorboard=args.tensorboard,
        )
        if device.type == "cpu":
            keep_freed_memory()
        with lost_processes_named(run.folder):
            stopped_by = train(state, training, recorder, device=device, world=world, workers=args.workers)
    if stopped_by is not None:
        print(f"stopped at step {state.step}; go on with: python train.py --resume {run.folder}")
        raise SystemExit(128 + stopped_by)
    print(f"finished; colorize a photo with: python colorize.py photo.jpg --weights {run.folder}")


def take_place_flags(args: argparse.Namespace) -> None:
    """Fill in the flags of the machine that were not given: a resumed run's own, or the defaults."""
    earlier = read_config(args.resume) if args.resume is not None else {}
    for name, default in PLACE_FLAGS.items():
        if getattr(args, name) is None:
            setattr(args, name, earlier.get(name, default))
    args.workers = count_cores() if args.workers is None else args.workers
    args.cache = resolve_cache(Path(args.cache))
    if args.tensorboard:
        check_tensorboard()


def open_run(args: argparse.Namespace, world: World, locks: ExitStack) -> Run:
    """The run to resume, locked, or a new one whose folder is not made yet."""
    with main_first(world):
        if args.resume is None:
            run = new_run(args)
        else:
            check_unchanged(args, read_config(args.resume))
            run = Run.resume(args.resume)
            if world.is_main:
                locks.enter_context(run.lock())
    batch_size = run.settings.recipe.batch_size
    if batch_size % world.size:
        raise UserError(f"the batch of {batch_size} cannot be shared out to {world.size} processes")
    if batch_size // world.size == 1 and run.settings.size < 64:
        raise UserError("a batch of one photo needs --size 64 or more: batch normalization wants more than one value")
    return run


def prepare(
    args: argparse.Namespace, run: Run, world: World, device: torch.device
) -> tuple[ColorizationDataset, ColorizationDataset, State]:
    """The training photos, the validation photos to watch, and the state of the run: first or resumed."""
    settings = run.settings
    precision = choose_precision(device, run.config["precision"])
    run.config["precision"] = precision.name
    print(f"device {device}, precision {precision.name}: {precision.reason}")
    with main_first(world):
        feature_loss = first_feature_loss(run.config, device)
        torch.manual_seed(settings.seed)
        generator = first_generator(run) if run.saved is None else saved_generator(run)
    print(f"starting from {run.config.get('start') or run.config['encoder'] + ' encoder weights'}")
    with main_first(world):
        training, validation = open_data(run, cache=args.cache, workers=args.workers)
    steps = len(training) // settings.recipe.batch_size
    state = create_state(
        settings, generator, steps_per_epoch=steps, device=device, precision=precision, feature_loss=feature_loss
    )
    if run.saved is not None:
        restore(state, run, len(training))
        if world.is_main:
            for name, counted in (("history.jsonl", "epoch"), ("steps.jsonl", "step")):
                keep_lines(run.folder / name, counted, getattr(state, counted))
    return training, validation, state


if __name__ == "__main__":
    run_script(main)
