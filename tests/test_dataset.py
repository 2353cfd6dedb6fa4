"""Photos as tensors, their batches with and without a cache, and the order of an epoch."""

import multiprocessing
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix.data.cache import prepare_photos
from pix2pix.data.dataset import ColorizationDataset, batches, epoch_order
from pix2pix.data.photos import find_photos
from pix2pix.errors import UserError


@pytest.fixture
def cached(photo_folder, tmp_path):
    photos = find_photos([photo_folder])
    return ColorizationDataset(prepare_photos(photos, 32, cache=tmp_path / "cache", workers=0))


@pytest.fixture
def uncached(cached):
    return ColorizationDataset(replace(cached.photo_set, pixels=None))


def test_a_photo_is_planes_of_bytes(cached, uncached, photo_folder):
    with Image.open(photo_folder / "01.png") as image:
        expected = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))
    for dataset in (cached, uncached):
        assert len(dataset) == 12 and dataset[0].shape == (3, 32, 32) and dataset[0].dtype == torch.uint8
        assert np.array_equal(dataset[0].permute(1, 2, 0), expected)


def test_rows_choose_photos(cached):
    some = ColorizationDataset(cached.photo_set, np.array([7, 2]))
    assert len(some) == 2 and torch.equal(some[0], cached[7]) and torch.equal(some[1], cached[2])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_photos_asked_for_with_and_without_a_cache(cached, uncached, workers):
    order = [[3, 1, 2, 5], [0, 7, 6], [4]]
    for dataset in (cached, uncached):
        found = list(batches(dataset, order, workers=workers))
        assert [len(photos) for photos in found] == [4, 3, 1]
        for photos, indices in zip(found, order, strict=True):
            assert photos.shape[1:] == (3, 32, 32) and photos.dtype == torch.uint8
            assert all(torch.equal(photo, cached[index]) for photo, index in zip(photos, indices, strict=True))
    assert list(batches(uncached, [], workers=workers)) == []


def test_photos_are_decoded_ahead_in_threads_and_in_no_process(uncached):
    before = threading.active_count()
    stream = batches(uncached, [[0, 1], [2, 3], [4, 5], [6, 7]], workers=2)
    next(stream)
    assert threading.active_count() == before + 2 and not multiprocessing.active_children()
    stream.close()
    assert threading.active_count() == before


def test_a_photo_that_became_unreadable_is_named(uncached, photo_folder):
    (photo_folder / "03.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"03\.png"):
        list(batches(uncached, [list(range(12))], workers=2))


def test_reading_batches_leaves_the_random_state_alone(cached, uncached):
    state = torch.get_rng_state()
    for dataset in (cached, uncached):
        list(batches(dataset, [[0, 1]], workers=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_is_a_shuffle_of_whole_batches():
    order = epoch_order(11, 4, seed=5, epoch=0)
    flat = [index for indices in order for index in indices]
    assert [len(indices) for indices in order] == [4, 4]
    assert len(set(flat)) == 8 and set(flat) <= set(range(11)) and flat != sorted(flat)
    assert order == epoch_order(11, 4, seed=5, epoch=0)
    assert order != epoch_order(11, 4, seed=5, epoch=1) and order != epoch_order(11, 4, seed=6, epoch=0)
