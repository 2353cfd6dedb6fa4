"""Train the colorizer, one stage at a time; every run gets a folder of its own under `runs`.

python train.py --stage pretrain                    # no discriminator, on the COCO sample (3.2 GB, downloaded once)
python train.py --stage pretrain --data FOLDER      # the same on your own photos
python train.py --stage gan                         # GAN + L1 + features, from the latest pretrain run, its photos
python train.py --resume runs/001-pretrain          # go on with a run that was stopped
torchrun --nproc_per_node=2 train.py --stage gan    # data-parallel, on CPUs or GPUs
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import pix2pix
from pix2pix.checkpoint import create_run, latest_run, load_generator, load_training, read_config, read_split
from pix2pix.data.cache import prepare_photos, refuse_broken
from pix2pix.data.coco import download_coco_sample, report_split
from pix2pix.data.dataset import ColorizationDataset, choose_photos, count_cores, split_names
from pix2pix.data.photos import find_photos
from pix2pix.device import PRECISIONS, choose_device, choose_precision
from pix2pix.distributed import World, join_world, lost_processes_named, main_first, start_process_group
from pix2pix.encoder_weights import load_encoder_weights
from pix2pix.errors import UserError, run_script
from pix2pix.evaluation.scoring import mean_ab
from pix2pix.files import read_json_lines, replacing, write_json
from pix2pix.locks import trained_alone
from pix2pix.losses import GAN_LOSSES, FeatureLoss
from pix2pix.recipes import RECIPES, STAGES, Recipe
from pix2pix.state import Settings, create_state
from pix2pix.training import train
from pix2pix.unet import ResNet18Encoder, UNetGenerator

CROP_SOURCE = 256  # photos are cached at least this large where crops are taken from them
WATCHED = 256  # validation photos that are scored after every epoch
MOST_VALIDATION = 3000  # of one's own photos, a quarter and at most this many

# Flags that define a run: a resume takes them from the run and refuses others.
RUN_FLAGS = ("stage", "data", "val_data", "recipe", "size", "plain_resize", "encoder", "start", "seed", "log_every")
RUN_FLAGS += ("precision", "epochs", "batch_size", "lr", "lambda_l1", "lambda_feature", "chroma", "degrade")
RUN_FLAGS += ("ema_decay", "gan_loss", "spectral_norm")
RECIPE_FLAGS = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "lambda_l1": "lambda_l1",
    "lambda_feature": "lambda_feature",
    "chroma": "chroma",
    "degrade": "degrade",
    "ema_decay": "ema_decay",
    "gan_loss": "gan_loss",
    "spectral_norm": "spectral_norm",
}
FLAG_NAMES = {"start": "from"}
GAN_FLAGS = ("lambda_l1", "gan_loss", "spectral_norm")
# Flags of the machine: a resume takes them from the run too, unless it is given others.
PLACE_FLAGS = {"device": "auto", "workers": None, "cache": "~/.cache/pix2pix", "tensorboard": False}
DEFAULTS = {"recipe": "default", "size": 256, "encoder": "imagenet", "seed": 98, "log_every": 250, "precision": "auto"}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--stage", choices=STAGES, help="pretrain: the generator alone; gan: with the discriminator")
    add("--resume", type=Path, metavar="RUN", help="go on with this run, with its own settings")
    add("--data", type=Path, nargs="+", metavar="PATH", help="folders or tars of photos (default: the COCO sample)")
    add("--val-data", type=Path, nargs="+", metavar="PATH", help="photos to validate on (default: a part of --data)")
    add("--recipe", choices=RECIPES, help="report: the report's hyperparameters (default: ours)")
    add("--epochs", type=int, help="passes over the training photos")
    add("--batch-size", type=int, help="photos a step, over all processes")
    add("--size", type=int, help="training resolution in pixels (default: 256)")
    add("--lr", type=float, help="the generator's learning rate")
    add("--lambda-l1", type=float, help="weight of L1 against the adversarial loss")
    add("--lambda-feature", type=float, help="weight of the feature loss, relative to L1's")
    add("--gan-loss", choices=GAN_LOSSES, help="kind of adversarial loss")
    add("--spectral-norm", action=argparse.BooleanOptionalAction, help="spectral normalisation of the discriminator")
    add("--chroma", type=float, help="train on colours this many times as strong as the photos' own")
    add("--degrade", type=float, help="share of photos made to look like a worn scan, 0 to 1")
    add("--ema-decay", type=float, help="of the generator's moving average; 0: none")
    add("--plain-resize", action="store_true", default=None, help="squash whole photos as the report, no random crop")
    add("--encoder", metavar="imagenet|none|FILE", help="the encoder's first weights and the feature loss's")
    add("--from", dest="start", type=Path, metavar="RUN|FILE", help="start from this run or generator file")
    add("--seed", type=int, help="of the split, the order, the crops and new weights (default: 98)")
    add("--log-every", type=int, metavar="STEPS", help="steps between figures and printed losses (default: 250)")
    add("--precision", choices=PRECISIONS, help="default: auto, bf16 where the device computes in it")
    add("--device", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    add("--workers", type=int, help="processes that decode photos (default: one a core)")
    add("--cache", type=Path, help="where decoded photos and downloads are kept (default: ~/.cache/pix2pix)")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    add("--tensorboard", action="store_true", default=None, help="write TensorBoard files into the run too")
    args = parser.parse_args()
    if args.resume is None and args.stage is None:
        parser.error("give --stage pretrain, --stage gan or --resume RUN")
    least = {"epochs": 1, "batch_size": 1, "size": 32, "log_every": 1, "seed": 0, "workers": 0, "lambda_l1": 0}
    least |= {"lambda_feature": 0, "chroma": 0.1, "degrade": 0, "ema_decay": 0}
    for name, value in least.items():
        if getattr(args, name) is not None and not getattr(args, name) >= value:
            parser.error(f"--{name.replace('_', '-')} must be at least {value}")
    if args.lr is not None and not 0 < args.lr < 1:
        parser.error("--lr must be between 0 and 1")
    for name, most in {"degrade": 1, "ema_decay": 0.99999, "chroma": 10}.items():
        if getattr(args, name) is not None and not getattr(args, name) <= most:
            parser.error(f"--{name.replace('_', '-')} must be at most {most}")
    for name in GAN_FLAGS if args.stage == "pretrain" else ():
        if getattr(args, name) is not None:
            parser.error(f"--{FLAG_NAMES.get(name, name.replace('_', '-'))} does not belong to --stage {args.stage}")
    if args.encoder not in (None, "imagenet", "none"):
        args.encoder = str(Path(args.encoder).absolute())  # a resume may be started from elsewhere
    if args.val_data and not args.data and args.stage == "pretrain":
        parser.error("--val-data needs --data: which photos are to be trained on?")
    return args


def main() -> None:
    args = parse_args()
    with ExitStack() as locks:
        start_or_resume(args, join_world(), locks)


def start_or_resume(args: argparse.Namespace, world: World, locks: ExitStack) -> None:
    """Train; the run's lock is added to `locks`."""
    earlier = read_config(args.resume) if args.resume is not None else {}
    for name, default in PLACE_FLAGS.items():
        if getattr(args, name) is None:
            setattr(args, name, earlier.get(name, default))
    args.workers = count_cores() if args.workers is None else args.workers
    args.cache = Path(args.cache).expanduser().absolute()
    if args.tensorboard:
        check_tensorboard()
    device = choose_device(args.device)
    if world.size > 1:
        if device == torch.device("cuda"):
            device = choose_device(f"cuda:{world.local_rank}")
        start_process_group(device)
    if not world.is_main:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115

    saved, run = None, args.runs
    if args.resume is not None:
        config, split, run = earlier, read_split(args.resume), args.resume
        check_unchanged(args, config)
        with main_first(world):
            if world.is_main:
                locks.enter_context(trained_alone(run))
        saved = load_last(run)
        if saved.get("stage") != config["stage"]:
            raise UserError(f"{run / 'last.pt'} is of stage {saved.get('stage')}, its run of {config['stage']}")
    else:
        with main_first(world):
            config, split = describe_run(args)
    try:
        recipe = Recipe(**config["hyperparameters"] | {"betas": tuple(config["hyperparameters"]["betas"])})
    except (TypeError, KeyError):
        raise UserError(f"{run / 'config.json'} has hyperparameters that this program does not know") from None
    settings = Settings(config["stage"], recipe, config["size"], config["seed"], config["log_every"])
    if recipe.batch_size % world.size:
        raise UserError(f"the batch of {recipe.batch_size} cannot be shared out to {world.size} processes")
    if recipe.batch_size == 1 and settings.size < 64:
        raise UserError("a batch of one photo needs --size 64 or more: batch normalisation wants more than one value")
    precision = choose_precision(device, config["precision"])
    config["precision"] = precision.name
    print(f"device {device}, precision {precision.name}: {precision.reason}")

    feature_loss = None
    if recipe.lambda_feature:
        with main_first(world):
            feature_encoder = ResNet18Encoder()
            load_encoder_weights(feature_encoder, config["encoder"])
        feature_loss = FeatureLoss(feature_encoder).to(device, memory_format=torch.channels_last)

    torch.manual_seed(settings.seed)
    if saved is None:
        with main_first(world):
            generator = first_generator(config)
        print(f"starting from {config.get('start') or config['encoder'] + ' encoder weights'}")
    else:
        generator = UNetGenerator()
    with main_first(world):
        training, validation = open_data(args, config, split)
    state = create_state(
        settings,
        generator,
        steps_per_epoch=len(training) // recipe.batch_size,
        device=device,
        precision=precision,
    )
    if saved is None:
        if world.is_main:
            run = create_run(args.runs, settings.stage)
            write_json(run / "config.json", config)
            locks.enter_context(trained_alone(run))
            write_json(run / "split.json", split)
    else:
        if saved.get("photos") != len(training):
            raise UserError(
                f"{run} was trained on {saved.get('photos')} photos, now {len(training)} of them can be used; put the "
                "others back, or start a new run"
            )
        try:
            state.load_state_dict(saved)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{run / 'last.pt'} does not fit the settings in {run / 'config.json'}") from error
        if world.is_main:
            keep_lines(run / "history.jsonl", "epoch", state.epoch)
            keep_lines(run / "steps.jsonl", "step", state.step)
        if state.epoch == recipe.epochs:
            print(f"{run} is finished: all {recipe.epochs} epochs are done")
            return
    print(f"run {run}: {settings.stage}, epoch {state.epoch + 1} of {recipe.epochs}, step {state.step}")
    with lost_processes_named(run):
        stopped_by = train(
            settings,
            state,
            training,
            validation,
            feature_loss=feature_loss,
            run=run,
            about=about(config, training),
            device=device,
            precision=precision,
            world=world,
            workers=args.workers,
            tensorboard=args.tensorboard,
        )
    if stopped_by is not None:
        print(f"stopped at step {state.step}; go on with: python train.py --resume {run}")
        raise SystemExit(128 + stopped_by)
    print(f"finished; colour a photo with: python colorize.py photo.jpg --weights {run}")


def describe_run(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The new run's config.json and split.json."""
    config: dict[str, Any] = {"stage": args.stage}
    config |= {name: value if getattr(args, name) is None else getattr(args, name) for name, value in DEFAULTS.items()}
    changes = {field: getattr(args, flag) for flag, field in RECIPE_FLAGS.items() if getattr(args, flag) is not None}
    if args.plain_resize:
        changes["crop"] = False
    config["hyperparameters"] = asdict(replace(RECIPES[config["recipe"]][args.stage], **changes))
    config["versions"] = {
        "pix2pix": pix2pix.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    config |= {"device": args.device, "tensorboard": args.tensorboard, "cache": str(args.cache)}

    start = args.start
    if args.stage == "gan" and start is None:
        start = latest_run(args.runs, "pretrain")
        if start is None:
            raise UserError(
                f"no pretraining in {args.runs} has finished an epoch; run python train.py --stage pretrain first, or "
                "name a run with --from RUN"
            )
    if start is not None:
        config["start"] = str(start.absolute())
        earlier = {"size": load_generator(start).size} if start.is_file() else read_config(start)
        if args.size is None:
            config["size"] = earlier["size"]
        if args.encoder is None:
            config["encoder"] = earlier.get("encoder", config["encoder"])
        if args.stage == "gan" and earlier.get("stage") == "gan":
            raise UserError(f"{start} is a run of --stage gan; --from takes one of --stage pretrain")
    if config["encoder"] == "none" and config["hyperparameters"]["lambda_feature"]:
        if args.lambda_feature:
            raise UserError("the feature loss needs ImageNet weights, and --encoder none has none; drop one of the two")
        print("no feature loss: it needs ImageNet weights, and --encoder none has none")
        config["hyperparameters"]["lambda_feature"] = 0.0
    if start is not None and not start.is_file() and args.data is None:
        config["data"], config["val_data"], split = earlier["data"], earlier["val_data"], read_split(start)
        if args.val_data:
            config["val_data"] = [str(path.absolute()) for path in args.val_data]
            split["validation"] = validation_names(args.val_data, [Path(path) for path in config["data"]], config)
        return config, split

    if args.data is None:
        folder = download_coco_sample(args.cache)
        names = [photo.name for photo in find_photos([folder])]
        train_names, val_names = report_split(names, seed=config["seed"])
        config["data"], config["val_data"] = [str(folder.absolute())], []
    else:
        names = [photo.name for photo in find_photos(args.data)]
        config["data"] = [str(path.absolute()) for path in args.data]
        config["val_data"] = [str(path.absolute()) for path in args.val_data or []]
        if args.val_data:
            train_names, val_names = names, validation_names(args.val_data, args.data, config)
        else:
            if len(names) < 2:
                raise UserError(f"{names[0]} is the only photo; give at least two, one to train on and one to validate")
            count = min(MOST_VALIDATION, max(1, len(names) // 4))
            train_names, val_names = split_names(names, validation=count, seed=config["seed"])
    return config, {"train": train_names, "validation": val_names}


def validation_names(val_data: list[Path], data: list[Path], config: dict[str, Any]) -> list[str]:
    """The names of the photos of `val_data`, shuffled. Raises UserError when one is in `data` too."""
    photos = find_photos(val_data)
    training = {photo.place for photo in find_photos(data)}
    for photo in photos:
        if photo.place in training:
            raise UserError(f"{photo.name} of --val-data is in --data too; a photo is for training or for validation")
    return split_names([photo.name for photo in photos], validation=len(photos), seed=config["seed"])[1]


def load_last(run: Path) -> dict[str, Any]:
    """The state in last.pt. Raises UserError when it is damaged, and names a file of the run that is good."""
    try:
        return load_training(run / "last.pt")
    except UserError as error:
        raise UserError(f"{error}{good_file(run)}") from error


def good_file(run: Path) -> str:
    """What of a run can be gone on from without its last.pt."""
    with suppress(UserError):
        epoch = load_training(run / "best.pt")["epoch"]
        return f"; {run / 'best.pt'} is good and stands after epoch {epoch}: copy it over last.pt to go on from there"
    with suppress(UserError):
        load_generator(run / "generator.pt")
        return f"; best.pt cannot be read either; generator.pt is good: start a new run with --from {run}"
    return ""


def check_unchanged(args: argparse.Namespace, config: dict[str, Any]) -> None:
    """Raises UserError when a flag differs from what the run that is resumed was started with."""
    for name in RUN_FLAGS:
        given = getattr(args, name)
        if given is None:
            continue
        if name in RECIPE_FLAGS:
            of_run = config["hyperparameters"][RECIPE_FLAGS[name]]
        elif name == "plain_resize":
            of_run = not config["hyperparameters"]["crop"]
        else:
            of_run = config.get(name)
        if isinstance(given, Path):
            given = str(given.absolute())
        elif isinstance(given, list):
            given = [str(path.absolute()) for path in given]
        if given != of_run:
            flag = FLAG_NAMES.get(name, name.replace("_", "-"))
            raise UserError(
                f"{args.resume} was started with {flag} {of_run}, not {given}; a resume keeps the run's settings: "
                f"drop --{flag}, or start a new run without --resume"
            )


def open_data(
    args: argparse.Namespace, config: dict[str, Any], split: dict[str, list[str]]
) -> tuple[ColorizationDataset, ColorizationDataset]:
    """The training photos and those validation photos that are scored after every epoch."""
    recipe, size = config["hyperparameters"], config["size"]
    sources = [Path(path) for path in config["data"]]
    val_sources = [Path(path) for path in config["val_data"]] or sources
    cached_size = max(size, CROP_SOURCE) if recipe["crop"] else size
    where = {"cache": args.cache, "workers": args.workers}
    train_set = prepare_photos(choose_photos(sources, split["train"]), cached_size, label="training photos", **where)
    val_names = split["validation"][:WATCHED]
    val_set = prepare_photos(choose_photos(val_sources, val_names), size, label="validation photos", **where)
    refuse_broken(train_set, val_set)
    training, validation = ColorizationDataset(train_set, train_set.colored()), ColorizationDataset(val_set)
    print(
        f"{len(training)} photos to train on, "
        f"{len(train_set.near_gray)} near-gray and {len(train_set.broken) + len(val_set.broken)} broken left out, "
        f"{len(split['validation'])} to validate on, {len(validation)} of them after every epoch"
    )
    if len(training) < recipe["batch_size"]:
        raise UserError(
            f"{len(training)} photos are less than one batch of {recipe['batch_size']}; give more photos or a smaller "
            "--batch-size"
        )
    return training, validation


def first_generator(config: dict[str, Any]) -> UNetGenerator:
    """The generator a new run starts from; the origin of one that is trained already is noted in `config`."""
    if "start" in config:
        start = Path(config["start"])
        loaded = load_generator(start if start.is_file() else start / "generator.pt")
        config["started_from"] = loaded.about
        return loaded.network
    generator = UNetGenerator()
    generator.init_weights()
    load_encoder_weights(generator.encoder, config["encoder"])
    return generator


def about(config: dict[str, Any], training: ColorizationDataset) -> dict[str, Any]:
    """What a generator file says of its origin, without the paths of this machine."""
    told = {name: config[name] for name in ("stage", "recipe", "hyperparameters", "size", "seed", "versions")}
    told["data"] = {"sources": [Path(path).name for path in config["data"]], "training_photos": len(training)}
    told["encoder"] = Path(config["encoder"]).name
    told["mean_ab"] = mean_ab(training)
    return told | {"started_from": config["started_from"]} if "start" in config else told


def keep_lines(path: Path, name: str, last: int) -> None:
    """Drop the lines that a stopped run wrote after its last checkpoint; they will be written again."""
    kept = [line for line in read_json_lines(path) if line[name] <= last]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))


def check_tensorboard() -> None:
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise UserError('--tensorboard needs TensorBoard: pip install -e ".[tensorboard]"') from None


if __name__ == "__main__":
    run_script(main)
