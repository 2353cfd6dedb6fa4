"""human.html: what people are shown, and, in a headless Chromium, what is counted."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from pix2pix.data.cache import PhotoSet
from pix2pix.data.photos import Photo
from pix2pix.errors import UserError
from pix2pix.evaluation.fooling import write_fooling_page
from pix2pix.evaluation.methods import gray_method

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photo_set(real_photos):
    """Twelve photos of 64x64 and a near-gray one."""
    images = [Image.new("RGB", (64, 64), (90, 90, 90)), *map(Image.fromarray, real_photos)]
    pixels = np.stack([np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC)) for image in images])
    photos = [Photo(f"{number}.png", f"{number}.png") for number in range(13)]
    return PhotoSet(photos, 64, frozenset({"0.png"}), {}, pixels)


@pytest.fixture(scope="module")
def asked(tmp_path_factory, photo_set):
    path = tmp_path_factory.mktemp("fooling") / "human.html"
    assert write_fooling_page(path, photo_set, gray_method(), CPU, seed=98) == 12
    return path


def test_people_are_asked_and_the_rate_is_right(asked, browser):
    """One takes the left photo in every pair: which answers are wrong follows from the pictures themselves."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(asked.as_uri())
    count = int(re.search(r"1 of (\d+)", page.inner_text("#count"))[1])
    real = page.evaluate("pairs.map(pair => pair.real)")
    assert count == 12 and 0 < sum(real) < count  # on either side
    for number in range(count):
        assert page.inner_text("#count") == f"{number + 1} of {count}"
        if number % 2:
            page.click("#left")
        else:
            page.keyboard.press("ArrowLeft")
    fooled = sum(real)  # where the real one was on the right
    interval = binomtest(fooled, count).proportion_ci(method="wilson")
    told = page.inner_text("#rate")
    assert f"{fooled} of {count}" in told
    expected = [f"{100 * share:.1f} %" for share in (fooled / count, interval.low, interval.high)]
    assert re.findall(r"[\d.]+ %", told) == [expected[0], "95 %", *expected[1:]]
    assert not page.is_visible("#pair")


def test_the_real_photo_is_where_the_page_says(asked, photo_set):
    truths = photo_set.pixels.astype(float)
    pairs = json.loads(re.search(r"^const pairs = (.*);$", asked.read_text(), re.MULTILINE)[1])
    assert {pair["real"] for pair in pairs} == {0, 1}
    for pair in pairs:
        images = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in pair["photos"]]
        shown = [np.asarray(image, dtype=float) for image in images]
        nearest = [min(np.abs(photo - truth).mean() for truth in truths) for photo in shown]
        assert nearest[pair["real"]] < nearest[1 - pair["real"]]


def test_people_are_shown_the_same_for_the_same_seed(asked, photo_set, tmp_path):
    for seed in (98, 99):
        write_fooling_page(tmp_path / f"{seed}.html", photo_set, gray_method(), CPU, seed=seed)
    same, other = ((tmp_path / f"{seed}.html").read_bytes() for seed in (98, 99))
    assert asked.read_bytes() == same and same != other


def test_gray_photos_are_nothing_to_ask_about(photo_set, tmp_path):
    grays = PhotoSet(photo_set.photos[:1], 64, frozenset({"0.png"}), {}, photo_set.pixels[:1])
    with pytest.raises(UserError, match="near-gray"):
        write_fooling_page(tmp_path / "human.html", grays, gray_method(), CPU, seed=98)
    assert not (tmp_path / "human.html").exists()


def test_one_generator_at_a_time_and_no_metric(run):
    assert run("evaluate.py", "--human", "--weights", "a.pt", "b.pt")[0] == 2
    for metric in ("--frechet", "--lpips", "--skin"):
        assert run("evaluate.py", "--human", metric)[0] == 2
