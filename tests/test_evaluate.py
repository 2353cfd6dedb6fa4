import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix import checkpoint, coco
from pix2pix.checkpoint import save_generator
from pix2pix.errors import UserError
from pix2pix.unet import GeneratorConfig, UNetGenerator


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8)))
    save_generator(tmp_path / "generator.pt", network, size=64, about={"stage": "pretrain"})
    return tmp_path / "generator.pt"


def evaluate(run, weights, *words):
    return run("evaluate.py", "--weights", weights, "--cache", "cache", "--photo-size", 64, *words)


def test_the_gray_row_is_what_scikit_image_says(run, weights, photo_folder, tmp_path):
    assert evaluate(run, weights, "--data", photo_folder, "--output", "out")[0] == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    psnrs, ssims = [], []
    for path in photo_folder.rglob("*.*"):
        with Image.open(path) as image:
            truth = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC))
        lab = rgb2lab(truth)
        lab[..., 1:] = 0
        gray = (lab2rgb(lab) * 255).round().astype(np.uint8)
        psnrs.append(peak_signal_noise_ratio(truth, gray, data_range=255))
        ssims.append(structural_similarity(truth, gray, channel_axis=-1, data_range=255))
    assert rows["gray"]["psnr"] == pytest.approx(np.mean(psnrs), abs=1e-3)
    assert rows["gray"]["ssim"] == pytest.approx(np.mean(ssims), abs=1e-5)
    assert rows["gray"]["colorfulness"] == 0 and rows["truth"]["colorfulness"] > 20


def test_two_evaluations_are_the_same_to_the_byte(run, weights, photo_folder, tmp_path):
    outputs = [evaluate(run, weights, "--data", photo_folder, "--output", name)[1] for name in ("one", "two")]
    assert "gray" in outputs[0] and "model" in outputs[0] and "truth" in outputs[0]
    for name in ("results.json", "photos.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_runs_own_validation_photos_are_the_default(run, photo_folder, tmp_path):
    small = ("--size", 32, "--batch-size", 4, "--epochs", 1, "--cache", "cache", "--encoder", "none")
    assert run("train.py", "--stage", "pretrain", "--data", photo_folder, *small)[0] == 0
    code, output, _ = run("evaluate.py", "--cache", "cache", "--photo-size", 64)
    assert code == 0 and "on 3 photos of runs/001-pretrain's validation split" in output
    result = json.loads((tmp_path / "runs" / "001-pretrain" / "evaluation" / "results.json").read_text())
    assert result["photos"] == 3 and result["network_size"] == 32
    with Image.open(tmp_path / "runs" / "001-pretrain" / "evaluation" / "photos.png") as figure:
        assert figure.width > 600


def test_bad_calls_are_refused(refused, weights, photo_folder, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.pt").write_text("words")
    assert "no photos in empty" in refused("evaluate.py", "--weights", weights, "--data", "empty")
    assert "there is no gone" in refused("evaluate.py", "--weights", weights, "--data", "gone")
    assert "words.pt" in refused("evaluate.py", "--weights", "words.pt", "--data", photo_folder)
    assert "tpu" in refused("evaluate.py", "--weights", weights, "--data", photo_folder, "--device", "tpu")

    def no_network(cache):
        raise UserError("cannot download; give your own photos with --data FOLDER")

    monkeypatch.setattr(coco, "download_coco_sample", no_network)
    assert "--data FOLDER" in refused("evaluate.py", "--weights", weights)
    monkeypatch.setattr(checkpoint, "SHIPPED_GENERATOR", tmp_path / "none.pt")
    assert "no weights" in refused("evaluate.py", "--data", photo_folder)


def test_gray_photos_do_not_spoil_the_means(run, weights, photo_folder, tmp_path):
    """A gray photo's gray output has no error and so an infinite PSNR; both rows leave it out."""
    assert evaluate(run, weights, "--data", photo_folder, "--output", "without")[0] == 0
    Image.new("RGB", (64, 64), (90, 90, 90)).save(photo_folder / "gray.png")
    assert evaluate(run, weights, "--data", photo_folder, "--output", "with")[0] == 0
    without, with_gray = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("without", "with"))
    assert (without["photos"], with_gray["photos"]) == (12, 13)
    for row in ("gray", "model"):
        assert with_gray["rows"][row]["psnr"] == pytest.approx(without["rows"][row]["psnr"])
