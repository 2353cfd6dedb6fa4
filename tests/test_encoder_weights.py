import pytest
import torch
import torchvision

from pix2pix.encoder_weights import load_encoder_weights
from pix2pix.errors import UserError
from pix2pix.unet import ResNet18Encoder


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    for name, value in network.state_dict().items():  # as if trained: no statistic at its first value
        if "running_mean" in name:
            value.normal_(0, 0.2)
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
    return network.eval()


def test_torchvisions_weights_give_torchvisions_features(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")
    encoder = ResNet18Encoder().eval()
    load_encoder_weights(encoder, str(tmp_path / "resnet18.pth"))
    assert set(encoder.state_dict()) == {name for name in resnet.state_dict() if not name.startswith("fc.")}
    photos = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        features = encoder(photos)
        x = resnet.relu(resnet.bn1(resnet.conv1(photos)))
        expected = [x]
        x = resnet.maxpool(x)
        for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
            x = layer(x)
            expected.append(x)
    for ours, theirs in zip(features, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_imagenets_weights_come_from_torchvision(resnet, monkeypatch):
    weights = torchvision.models.ResNet18_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda self, *a, **k: resnet.state_dict())
    encoder = ResNet18Encoder()
    load_encoder_weights(encoder, "imagenet")
    assert torch.equal(encoder.layer4[1].conv2.weight, resnet.layer4[1].conv2.weight)

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(weights, "get_state_dict", no_network)
    with pytest.raises(UserError, match=r"no network.*--encoder FILE"):
        load_encoder_weights(encoder, "imagenet")


def test_foreign_encoder_weights_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "words.pth").write_text("words")
    for name, reason in (
        ("other", "not those of"),
        ("list", "not those of"),
        ("words", "can be read"),
        ("gone", "no "),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            load_encoder_weights(ResNet18Encoder(), str(tmp_path / f"{name}.pth"))
        assert f"{name}.pth" in str(caught.value)
