"""Damaged checkpoints and photos: refused with a reason, or read as what they were; nothing half-written, no hang."""

import io
import random
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image, features
from skimage import data

from pix2pix.checkpoint import load_generator, load_training, save_generator, save_training
from pix2pix.data.cache import prepare_photos
from pix2pix.data.photos import find_photos
from pix2pix.errors import UserError
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import colorize_file
from pix2pix.unet import GeneratorConfig, UNetGenerator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
SECONDS = 20  # for one photo
PHOTOS = 2100


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_generator(path, UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8))), size=32, about={})
    return path


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("kind", ["training", "generator"])
def test_checkpoints(kind, generator, tmp_path):
    path = tmp_path / "file.pt"
    if kind == "training":
        torch.manual_seed(0)
        save_training(path, {"stage": "gan", "step": 7, "weights": {str(n): torch.rand(99, n + 1) for n in range(30)}})
        load = load_training
    else:
        path.write_bytes(generator.read_bytes())

        def load(path):
            return load_generator(path).network.state_dict()

    whole, expected = path.read_bytes(), load(path)
    rng, counts = random.Random(kind), Counter()
    for _ in range(100):
        path.write_bytes(whole[: rng.randrange(len(whole))])
        with pytest.raises(UserError, match=r"file\.pt"):
            load(path)
        counts["cut short, refused"] += 1
    for unit in ("bit", "byte") * 300:
        place = rng.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8) if unit == "bit" else rng.randrange(1, 256)
        path.write_bytes(changed)
        try:
            assert same(load(path), expected)  # a byte that is only padding, or a date
            counts[f"{unit} flipped where it means nothing"] += 1
        except UserError as error:
            assert "file.pt" in str(error)
            counts[f"{unit} flipped, refused"] += 1
    print(kind, dict(counts))


def originals():
    """(suffix, content) of whole photos of every format."""
    photo = Image.fromarray(data.astronaut()[:160, 100:300])
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    kinds = [
        (".jpg", photo, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0", "comment": b"x", "dpi": (300, 300)}),
        (".jpg", photo.convert("L"), {"progressive": True}),
        (".jpg", photo.convert("CMYK"), {}),
        (".png", photo, {}),
        (".png", deep, {}),
        (".png", photo.quantize(16), {}),
        (".tif", photo, {"compression": "tiff_lzw"}),
        (".tif", photo, {"compression": "jpeg"}),
        (".tif", deep, {}),
        (".webp", photo, {}),
        (".bmp", photo, {}),
        (".gif", photo, {}),
        (".ppm", photo, {}),
    ]
    if features.check("jpg_2000"):
        kinds.append((".jp2", photo, {}))
    if features.check("avif"):
        kinds.append((".avif", photo, {}))
    for suffix, image, options in kinds:
        content = io.BytesIO()
        image.save(content, Image.registered_extensions()[suffix], **options)
        yield suffix, content.getvalue()


def damage(content, rng):
    kind = rng.choice(("cut", "flip", "head", "noise", "twice"))
    changed = bytearray(content)
    if kind == "cut":
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == "twice":
        place = rng.randrange(len(changed))
        return bytes(changed[:place] + changed[rng.randrange(place + 1) :])
    places = range(min(400, len(changed))) if kind == "head" else range(len(changed))
    for _ in range(rng.choice((1, 3, 10, 60))):
        place = rng.choice(places)
        changed[place] = rng.randrange(256) if kind == "noise" else changed[place] ^ 1 << rng.randrange(8)
    return bytes(changed)


def test_photos(generator, tmp_path):
    rng, colorizer = random.Random(0), Colorizer(generator, device="cpu")
    wholes, counts = list(originals()), Counter()
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"still at it after {SECONDS} s"))
    for number in range(PHOTOS):
        suffix, whole = wholes[number % len(wholes)]
        photo = tmp_path / "in" / f"{number:04d}{suffix}"
        photo.write_bytes(damage(whole, rng))
        target = tmp_path / "out" / photo.name
        signal.alarm(SECONDS)
        try:
            colorize_file(colorizer, photo, target, name=photo.name, max_pixels=10_000_000)
            with Image.open(target) as image:
                image.load()
            counts["colored"] += 1
            target.unlink()
        except UserError as error:
            assert str(error).startswith(photo.name) and "\n" not in str(error)
            counts["refused"] += 1
        finally:
            signal.alarm(0)
        assert not list((tmp_path / "out").iterdir())
    print("coloring:", dict(counts))
    assert min(counts.values()) > 100

    photos = find_photos([tmp_path / "in"])
    photo_set = prepare_photos(photos, 64, cache=tmp_path / "cache", workers=2)
    assert len(photo_set.photos) + len(photo_set.broken) == len(photos)
    assert all(reason.startswith(name) for name, reason in photo_set.broken.items())
    assert len(photo_set.photos) > 100 and len(photo_set.broken) > 100
    print("training and evaluating:", {"read": len(photo_set.photos), "named as broken": len(photo_set.broken)})
