"""The recipe's fields as flags."""

import argparse
from dataclasses import fields, replace

import pytest

from pix2pix.recipes import RECIPES, Recipe, add_recipe_flags, changed_fields


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    add_recipe_flags(parser)
    return lambda text: parser.parse_args(text.split())


def test_every_field_has_one_flag_with_help(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    said = capsys.readouterr().out
    flags = {word for line in said.splitlines() for word in line.split(",")[0].split()[:1] if word.startswith("--")}
    assert len(flags) == len(fields(Recipe))
    assert {"--lr", "--batch-size", "--plain-resize", "--hints", "--discriminator-lr"} <= flags
    assert all(field.metadata["help"] for field in fields(Recipe))


def test_only_what_is_given_changes(parse):
    assert changed_fields(parse("")) == {}
    given = "--lr 0.5 --plain-resize --no-one-cycle --spectral-norm --gan-loss lsgan --betas 0.5 0.9 --hints 0"
    changes = changed_fields(parse(given))
    assert changes == {
        "learning_rate": 0.5,
        "crop": False,
        "one_cycle": False,
        "spectral_norm": True,
        "gan_loss": "lsgan",
        "betas": (0.5, 0.9),
        "hints": 0.0,
    }
    assert replace(RECIPES["default"]["gan"], **changes).betas == (0.5, 0.9)


@pytest.mark.parametrize(
    "words",
    ["--lr nan", "--lr 0", "--lr 2", "--epochs 0", "--epochs 1.5", "--degrade 1.1", "--hints -0.1", "--gan-loss best"],
)
def test_values_out_of_range_are_refused(parse, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(words)
    assert stop.value.code == 2 and words.split()[0] in capsys.readouterr().err


def test_the_reports_recipe_has_neither_hints_nor_features():
    for stage in ("pretrain", "gan"):
        recipe = RECIPES["report"][stage]
        assert recipe.hints == recipe.lambda_feature == recipe.degrade == recipe.ema_decay == 0 and not recipe.crop
    assert RECIPES["report"]["gan"].lambda_l1 == 100 and RECIPES["report"]["gan"].learning_rate == 2e-4
