"""Both of the report's SSIMs against scikit-image on photos from lab2rgb, the network called as its notebook did."""

import copy

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import structural_similarity

from pix2pix.evaluation.report_protocol import DID, MEANT, ReportProtocol
from pix2pix.unet import GeneratorConfig, UNetGenerator

pytestmark = pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB:UserWarning")


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8)))
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.2)
    return network.eval()


@pytest.fixture
def photos(batch):
    return batch[..., :96, :96].contiguous()


def as_photos(lightness, ab):
    lab = torch.cat(((lightness + 1) * 50, ab * 110), dim=1).permute(0, 2, 3, 1).double().numpy()
    return [lab2rgb(photo) for photo in lab]


def similarity(predictions, truths, *, range_of):
    found = []
    for prediction, truth in zip(predictions, truths, strict=True):
        judged = {"truth": truth, "prediction": prediction}[range_of]
        span = judged.max() - judged.min()
        found.append(structural_similarity(truth, prediction, channel_axis=-1, data_range=span))
    return found


@pytest.mark.parametrize("first", [True, False])
def test_both_numbers_are_scikit_images(network, photos, first):
    lab = np.stack([rgb2lab(photo.permute(1, 2, 0).numpy()) for photo in photos]).transpose(0, 3, 1, 2)
    lightness, ab = torch.from_numpy(lab[:, :1] / 50 - 1).float(), torch.from_numpy(lab[:, 1:] / 110).float()
    truths, grays = as_photos(lightness, ab), as_photos(lightness, torch.zeros_like(ab))
    with torch.no_grad():
        meant = as_photos(lightness, network(lightness))
        trained = copy.deepcopy(network).train(not first)
        did = as_photos(lightness, trained(lightness))
    scores = ReportProtocol({"model": (network, 96)}, strength=1.0)(photos, first=first)
    expected = {
        ("gray", MEANT): similarity(grays, truths, range_of="truth"),
        ("gray", DID): similarity(grays, truths, range_of="prediction"),
        ("model", MEANT): similarity(meant, truths, range_of="truth"),
        ("model", DID): similarity(did, truths, range_of="prediction"),
    }
    for (row, name), values in expected.items():
        assert scores[row][name].tolist() == pytest.approx(values, abs=1e-4), (row, name)
    moved = np.abs(np.subtract(*(expected["model", name] for name in (MEANT, DID)))).max()
    assert (moved > 0.005) == (not first)


def test_train_mode_leaves_the_network_alone(network, photos):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    protocol = ReportProtocol({"model": (network, 96)}, strength=1.0)
    for first in (True, False, False):
        protocol(photos, first=first)
    assert not network.training and not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    moved = protocol.copies["model"].state_dict()
    assert not torch.equal(moved["encoder.bn1.running_mean"], before["encoder.bn1.running_mean"])
