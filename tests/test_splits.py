"""Splits: the same for the same seed, the report's own draw, photos that are gone."""

import random

import numpy as np
import pytest

from pix2pix.data.splits import choose_photos, report_split, split_names
from pix2pix.errors import UserError

NAMES = [f"{index:012d}.jpg" for index in range(21_837)]


def test_a_split_is_the_same_for_the_same_seed_and_shares_nothing():
    names = [f"{number}.jpg" for number in range(20)]
    train, validation = split_names(names, validation=5, seed=98)
    assert len(validation) == 5 and sorted(train + validation) == sorted(names)
    assert (train, validation) == split_names(names[::-1], validation=5, seed=98)
    assert validation != split_names(names, validation=5, seed=99)[1]


def test_the_reports_split_draws_what_the_legacy_calls_draw():
    state = np.random.get_state()
    np.random.seed(98)
    chosen = np.random.choice(NAMES, 12_000, replace=False)
    order = np.random.permutation(12_000)
    np.random.set_state(state)
    train, validation = report_split(NAMES)
    assert train == chosen[order[:9000]].tolist()
    assert validation == chosen[order[9000:]].tolist()
    assert np.random.get_state()[1].tolist() == state[1].tolist()  # the global generator is left alone


def test_the_reports_split_is_disjoint_and_does_not_depend_on_the_order():
    train, validation = report_split(NAMES)
    assert (len(train), len(validation)) == (9000, 3000)
    assert len({*train, *validation}) == 12_000 and {*train, *validation} < set(NAMES)
    assert report_split(random.Random(1).sample(NAMES, len(NAMES))) == (train, validation)
    assert report_split(NAMES, seed=99) != (train, validation)


def test_the_reports_split_needs_12_000_photos():
    assert [len(part) for part in report_split(NAMES[:12_000])] == [9000, 3000]
    with pytest.raises(UserError, match=r"11,999.*--data FOLDER"):
        report_split(NAMES[:11_999])


def test_a_photo_that_is_gone_is_named(photo_folder):
    chosen = choose_photos([photo_folder], ["inner/02.jpg", "01.png"])
    assert [photo.name for photo in chosen] == ["inner/02.jpg", "01.png"]
    (photo_folder / "01.png").unlink()
    with pytest.raises(UserError, match=r"1 of the run's photos are no longer in .*: 01\.png"):
        choose_photos([photo_folder], ["inner/02.jpg", "01.png"])
