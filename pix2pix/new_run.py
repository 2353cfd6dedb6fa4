"""A new training run out of train.py's flags: its settings, its photos, and the networks it starts from."""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import pix2pix
from pix2pix.checkpoint import load_generator
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import find_photos
from pix2pix.encoder_weights import load_encoder_weights
from pix2pix.errors import UserError
from pix2pix.evaluation.scoring import mean_ab
from pix2pix.losses import FeatureLoss
from pix2pix.recipes import RECIPES, Recipe, changed_fields
from pix2pix.run_data import split_photos, validation_names
from pix2pix.runs import Run, latest_run, read_config, read_split
from pix2pix.unet import GeneratorConfig, ResNet18Encoder, UNetGenerator

DEFAULTS = {"recipe": "default", "size": 256, "encoder": "imagenet", "seed": 98, "log_every": 250, "precision": "auto"}


def new_run(args: argparse.Namespace) -> Run:
    """The run that train.py's flags describe; its folder is not made yet. Raises UserError for what cannot be."""
    config: dict[str, Any] = {"stage": args.stage}
    config |= {name: value if getattr(args, name) is None else getattr(args, name) for name, value in DEFAULTS.items()}
    start, earlier = _start(args)
    if start is not None:
        config["start"] = str(start.absolute())
        if args.size is None:
            config["size"] = earlier["size"]
        if args.encoder is None:
            config["encoder"] = earlier.get("encoder", config["encoder"])
    recipe = replace(RECIPES[config["recipe"]][args.stage], **changed_fields(args))
    if args.recolor and not recipe.hints:
        raise UserError("--recolor is for photos with hints, and this recipe has none; give --hints too")
    config["hyperparameters"] = asdict(_without_missing_weights(recipe, config["encoder"], args.lambda_feature))
    config["versions"] = {
        "pix2pix": pix2pix.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    config |= {"device": args.device, "tensorboard": args.tensorboard, "cache": str(args.cache)}
    if start is not None and not start.is_file() and args.data is None:
        data, split = [Path(path) for path in earlier["data"]], read_split(start)
        val_data = args.val_data or [Path(path) for path in earlier["val_data"]]
        if args.val_data:
            training = find_photos(data, cache=args.cache)
            split["validation"] = validation_names(args.val_data, training, seed=config["seed"])
    else:
        data, split = split_photos(args.data, args.val_data, seed=config["seed"], cache=args.cache)
        val_data = args.val_data or []
    config["data"], config["val_data"] = ([str(path.absolute()) for path in paths] for paths in (data, val_data))
    return Run(args.runs, config, split)


def first_generator(run: Run) -> UNetGenerator:
    """The generator a new run starts from; the origin of one that is trained already is noted in its config.

    Raises UserError when the weights cannot be read.
    """
    generator = _first_generator(run.config)
    run.config["generator"] = asdict(generator.config)
    return generator


def _first_generator(config: dict[str, Any]) -> UNetGenerator:
    generator = UNetGenerator(GeneratorConfig(hints=config["hyperparameters"]["hints"] > 0))
    generator.init_weights()
    if "start" not in config:
        load_encoder_weights(generator.encoder, config["encoder"])
        return generator
    start = Path(config["start"])
    loaded = load_generator(start if start.is_file() else start / "generator.pt")
    config["started_from"] = loaded.about
    if not generator.config.hints or loaded.network.config.hints:
        return loaded.network
    known = loaded.network.state_dict()  # of a generator without hints: its hint layers start anew
    generator.load_state_dict(generator.state_dict() | known)
    return generator


def first_feature_loss(config: dict[str, Any], device: torch.device) -> FeatureLoss | None:
    """The feature loss with its ImageNet weights, or None where the recipe has none."""
    if not config["hyperparameters"]["lambda_feature"]:
        return None
    encoder = ResNet18Encoder()
    load_encoder_weights(encoder, config["encoder"])
    return FeatureLoss(encoder).to(device).to(memory_format=torch.channels_last)


def describe_origin(config: dict[str, Any], training: ColorizationDataset) -> dict[str, Any]:
    """What a generator file says of its origin, without the paths of this machine."""
    told = {name: config[name] for name in ("stage", "recipe", "hyperparameters", "size", "seed", "versions")}
    told["data"] = {"sources": [Path(path).name for path in config["data"]], "training_photos": len(training)}
    told["encoder"] = Path(config["encoder"]).name
    told["mean_ab"] = mean_ab(training)
    return told | {"started_from": config["started_from"]} if "start" in config else told


def _start(args: argparse.Namespace) -> tuple[Path | None, dict[str, Any]]:
    """The run or generator file to start from, if any, and its settings."""
    start = args.start
    if args.stage == "gan" and start is None:
        start = latest_run(args.runs, "pretrain")
        if start is None:
            raise UserError(
                f"no pretraining in {args.runs} has finished an epoch; run python train.py --stage pretrain first, or "
                "name a run with --from RUN"
            )
    if start is None:
        return None, {}
    earlier = {"size": load_generator(start).size} if start.is_file() else read_config(start)
    if args.stage == "gan" and earlier.get("stage") == "gan":
        raise UserError(f"{start} is a run of --stage gan; --from takes one of --stage pretrain")
    return start, earlier


def _without_missing_weights(recipe: Recipe, encoder: str, asked: float | None) -> Recipe:
    """The recipe, without a feature loss where there are no ImageNet weights for it."""
    if encoder != "none" or not recipe.lambda_feature:
        return recipe
    if asked:
        raise UserError("the feature loss needs ImageNet weights, and --encoder none has none; drop one of the two")
    print("no feature loss: it needs ImageNet weights, and --encoder none has none")
    return replace(recipe, lambda_feature=0.0)
