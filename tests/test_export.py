"""The exported network against PyTorch's, and the example that uses it against the Colorizer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from narrow_widths import WIDTHS
from PIL import Image

from pix2pix import export
from pix2pix.checkpoint import load_generator, save_generator
from pix2pix.errors import UserError
from pix2pix.inference import Colorizer
from pix2pix.unet import GeneratorConfig, ResNet18Encoder, UNetGenerator

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResNet18Encoder, "widths", WIDTHS)
        yield _saved(tmp_path_factory)


def _saved(tmp_path_factory):
    network = UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8), hints=True)).eval()
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.1)
    path = tmp_path_factory.mktemp("export") / "generator.pt"
    save_generator(path, network, size=32, about={})
    return path


@pytest.fixture(scope="module")
def model(weights):
    path = weights.with_name("model.onnx")
    export.export_onnx(load_generator(weights).network, path, size=32)
    return path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [(2, 64, 96), (1, 1, 1), (3, 33, 70), (1, 100, 31)])
def test_onnxruntime_gives_what_pytorch_gives_on_any_size(weights, model, size):
    network = load_generator(weights).network.eval()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    count, height, width = size
    lightness, hints = torch.rand(count, 1, height, width) * 2 - 1, torch.zeros(count, 3, height, width)
    pointed = hints.clone()
    pointed[-1, :, height // 2, width // 2] = torch.tensor([0.5, -0.3, 1.0])
    for given in (hints, pointed):
        with torch.inference_mode():
            expected = network(lightness, given).numpy()
        (ab,) = session.run(["ab"], {"lightness": lightness.numpy(), "hints": given.numpy()})
        assert ab.shape == (count, 2, height, width) and np.abs(ab - expected).max() < 1e-3


def test_the_file_says_how_it_is_used(model):
    about = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    assert about["size"] == "32" and {"lightness", "hints", "ab", "use"} <= about.keys()


def test_the_example_gives_the_colorizers_picture(weights, model, real_photos, tmp_path):
    photo = Image.fromarray(real_photos[0])
    photo.save(tmp_path / "photo.png")
    command = [sys.executable, str(ROOT / "examples" / "onnx_colorize.py"), str(model), "photo.png", "colorized.png"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    expected = np.asarray(Colorizer(weights, device="cpu").colorize(photo)).astype(int)
    with Image.open(tmp_path / "colorized.png") as colorized:
        difference = np.abs(np.asarray(colorized).astype(int) - expected)
    assert difference.mean() < 0.5 and (difference > 3).mean() < 0.01


def test_what_cannot_be_written_is_said(refused, monkeypatch, weights, tmp_path):
    network = load_generator(weights).network
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r'onnx is not installed.*pip install -e "\.\[onnx\]"'):
        export.export_onnx(network, tmp_path / "a.onnx", size=32)
    assert "ends in .onnx" in refused(Path("pix2pix/export.py"), "model.pt", "--weights", weights)
    assert not list(tmp_path.glob("*.onnx"))
