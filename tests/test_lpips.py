"""LPIPS through its package; AlexNet's weights are random here instead of downloaded."""

import json
import sys
import urllib.error

import pytest
import torch
from torchvision.models import AlexNet_Weights, alexnet

from pix2pix.checkpoint import save_generator
from pix2pix.evaluation.lpips import PerceptualDistance
from pix2pix.unet import GeneratorConfig, UNetGenerator

# the package names its weights as torchvision did before 0.13
pytestmark = pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a")


@pytest.fixture
def random_alexnet(monkeypatch):
    torch.manual_seed(0)
    state = alexnet(weights=None).state_dict()
    monkeypatch.setattr(AlexNet_Weights, "get_state_dict", lambda self, *words, **more: state)


@pytest.fixture
def words(tmp_path, photo_folder, narrow):
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8)))
    save_generator(tmp_path / "generator.pt", network, size=64, about={})
    return "--weights", "generator.pt", "--data", photo_folder, "--cache", "cache", "--photo-size", 64, "--lpips"


def test_it_is_the_packages_own_with_photos_in_minus_one_to_one(random_alexnet, batch):
    lpips = pytest.importorskip("lpips")
    noise = torch.randint(0, 256, batch.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = PerceptualDistance(torch.device("cpu"))(noise, batch)
    network = lpips.LPIPS(net="alex", verbose=False)
    with torch.no_grad():
        expected = network(noise / 255, batch / 255, normalize=True).flatten()
    assert found.dtype == torch.float64 and (found > 0).all()
    assert torch.allclose(found.float(), expected, rtol=1e-4)
    assert PerceptualDistance(torch.device("cpu"))(batch, batch).tolist() == [0] * len(batch)


def test_evaluate_prints_it(run, random_alexnet, words, tmp_path):
    pytest.importorskip("lpips")
    code, output, _ = run("evaluate.py", *words, "--output", "out")
    assert code == 0 and "LPIPS" in output
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["rows"]["gray"]["lpips"]["mean"] > 0 and "lpips" not in result["rows"]["truth"]
    assert "AlexNet" in result["lpips"]


def test_what_is_missing_is_one_line(refused, words, monkeypatch):
    def no_network(self, *words, **more):
        raise urllib.error.URLError("no network")

    pytest.importorskip("lpips")
    monkeypatch.setattr(AlexNet_Weights, "get_state_dict", no_network)
    assert "leave --lpips out" in refused("evaluate.py", *words)
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert 'pip install -e ".[lpips]"' in refused("evaluate.py", *words)
