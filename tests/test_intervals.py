"""The bootstrap against SciPy's and the normal approximation; significance where it is known."""

import numpy as np
import pytest
from scipy import stats

from pix2pix.evaluation.intervals import bootstrap

COUNT = 400


@pytest.fixture
def values():
    return np.random.default_rng(1).gamma(2.0, 3.0, COUNT)


def test_the_interval_is_scipys_and_nearly_the_normal_one(values):
    ours = bootstrap({"x": values}, seed=0)["x"]
    scipys = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(5))
    error = values.std(ddof=1) / COUNT**0.5
    assert ours.mean == pytest.approx(values.mean(), rel=1e-12)
    assert ours.low == pytest.approx(scipys.confidence_interval.low, abs=0.12 * error)
    assert ours.high == pytest.approx(scipys.confidence_interval.high, abs=0.12 * error)
    assert ours.half == pytest.approx(1.96 * error, rel=0.06)


def test_the_seed_decides(values):
    first = bootstrap({"x": values}, seed=3)
    assert first == bootstrap({"x": values}, seed=3)
    assert first != bootstrap({"x": values}, seed=4)


def test_values_that_are_not_finite_are_left_out(values):
    spoilt = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    found = bootstrap({"x": spoilt, "none": np.full(len(spoilt), np.nan)}, seed=0)
    assert found["x"].mean == pytest.approx(values.mean())
    assert found["x"].half == pytest.approx(1.96 * values.std() / COUNT**0.5, rel=0.08)
    assert np.isnan([found["none"].mean, found["none"].low, found["none"].high]).all()
    assert not found["none"].significant


def test_pairing_finds_what_the_means_alone_cannot():
    """A small gain on every photo among large differences between photos: the means' intervals overlap."""
    generator = np.random.default_rng(2)
    one = generator.normal(25, 5, COUNT)
    better, same = (
        one + generator.normal(0.1, 0.3, COUNT),
        one + generator.permutation(np.tile([0.3, -0.3], COUNT // 2)),
    )
    found = bootstrap({"one": one, "better": better, "gain": better - one, "loss": one - better}, seed=0)
    assert found["one"].high > found["better"].low
    assert found["gain"].significant and found["gain"].low > 0
    assert found["loss"].significant and found["loss"].high < 0
    assert not bootstrap({"x": same - one}, seed=0)["x"].significant
    assert not bootstrap({"x": np.zeros(COUNT)}, seed=0)["x"].significant


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(7)
    columns = {number: generator.exponential(2.0, 200) for number in range(200)}
    covered = sum(found.low <= 2.0 <= found.high for found in bootstrap(columns, seed=0).values())
    assert 178 <= covered <= 199
