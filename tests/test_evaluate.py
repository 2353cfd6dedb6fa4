import csv
import json
import re

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix import runs
from pix2pix.checkpoint import save_generator
from pix2pix.color import rgb_to_lab
from pix2pix.errors import UserError
from pix2pix.evaluation import scoring, selection
from pix2pix.evaluation.methods import Batch, constant_method
from pix2pix.unet import GeneratorConfig, ResNet18Encoder, UNetGenerator

FILES = ("results.json", "results.csv", "results.html", "photos.png")
pytestmark = pytest.mark.usefixtures("narrow")


def save(path, *, seed=0, about=None, hints=False):
    torch.manual_seed(seed)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8), hints=hints))
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.1)
    save_generator(path, network, size=32, about=about or {"stage": "pretrain"})
    return path


@pytest.fixture
def weights(tmp_path):
    return save(tmp_path / "generator.pt")


def evaluate(run, weights, *words):
    files = weights if isinstance(weights, list) else [weights]
    return run("evaluate.py", "--weights", *files, "--cache", "cache", "--photo-size", 64, *words)


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
    assert rows["gray"]["psnr"]["mean"] == pytest.approx(np.mean(psnrs), abs=1e-3)
    assert rows["gray"]["ssim"]["mean"] == pytest.approx(np.mean(ssims), abs=1e-5)
    assert rows["gray"]["colorfulness"]["mean"] == 0 and rows["truth"]["colorfulness"]["mean"] > 20
    difference = rows["gray"]["colorfulness_difference"]["mean"]
    assert difference == pytest.approx(-rows["truth"]["colorfulness"]["mean"])
    for values in rows["gray"].values():
        assert values["low"] <= values["mean"] <= values["high"]


def test_photos_one_pixel_wide_or_high_and_of_one_color(run, weights, tmp_path):
    photos = tmp_path / "odd"
    photos.mkdir()
    line = np.random.default_rng(0).integers(0, 256, (30_000, 1, 3)).astype(np.uint8)
    Image.fromarray(line).save(photos / "high.png")
    Image.fromarray(line.transpose(1, 0, 2)).save(photos / "wide.png")
    for name in ("black", "white", "blue", "gray"):
        Image.new("RGB", (1, 1) if name == "gray" else (90, 70), name).save(photos / f"{name}.png")
    assert evaluate(run, weights, "--data", photos, "--output", "out")[0] == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(), parse_constant=pytest.fail)
    for row in results["rows"].values():
        assert all(np.isfinite(value) for entry in row.values() for value in entry.values())


def test_two_evaluations_are_the_same_to_the_byte(run, weights, photo_folder, tmp_path):
    outputs = [evaluate(run, weights, "--data", photo_folder, "--output", name)[1] for name in ("one", "two")]
    assert all(re.search(rf"^{row}  ", outputs[0], re.MULTILINE) for row in ("gray", "generator", "truth"))
    assert "no row for the mean color" in outputs[0]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_interrupted_and_run_again_it_goes_on(run, weights, photo_folder, tmp_path, monkeypatch):
    """Stopped in the second chunk of three: the first is not scored again, and every byte is an unbroken run's."""
    monkeypatch.setattr(scoring, "CHUNK", 4)
    monkeypatch.setattr(scoring, "BATCH", 2)
    words = ("--data", photo_folder)
    assert evaluate(run, weights, *words, "--output", "unbroken")[0] == 0

    scored, score_batch = [], scoring.score_batch

    def counting(batch, methods, extras, stop_at=None):
        if stop_at is not None and len(scored) == stop_at:
            raise KeyboardInterrupt
        scored.append(len(batch.photos))
        return score_batch(batch, methods, extras)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_batch", lambda *words: counting(*words, stop_at=3))
        assert evaluate(run, weights, *words, "--output", "broken")[0] == 130
    (partial,) = (tmp_path / "broken").iterdir()
    assert partial.name.startswith("partial-") and [path.name for path in partial.iterdir()] == ["00000.pt"]

    scored.clear()
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_batch", counting)
        code, output, _ = evaluate(run, weights, *words, "--output", "broken")
    assert code == 0 and "4 of 12 photos are scored already" in output and scored == [2, 2, 2, 2]
    assert sorted(path.name for path in (tmp_path / "broken").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_other_settings_do_not_go_on_from_these(run, weights, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 4)
    monkeypatch.setattr(scoring, "BATCH", 4)
    score_batch, scored = scoring.score_batch, []

    def stopping(*words):
        if scored:
            raise KeyboardInterrupt
        scored.append(True)
        return score_batch(*words)

    words = ("--data", photo_folder, "--output", "out")
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_batch", stopping)
        assert evaluate(run, weights, *words)[0] == 130
    assert "scored already" not in evaluate(run, weights, *words, "--strength", 1.5)[1]
    save(weights, seed=5)
    assert "scored already" not in evaluate(run, weights, *words)[1]


def test_models_side_by_side_with_paired_differences(run, weights, photo_folder, tmp_path):
    other = save(tmp_path / "other <b>.pt", seed=3, about={"mean_ab": [4.0, -20.0]})
    code, output, _ = evaluate(run, [weights, other], "--data", photo_folder, "--output", "out")
    assert code == 0 and "other <b> - generator" in output
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(result["rows"]) == ["gray", "mean color", "generator", "other <b>", "truth"]
    pairs = [(pair["row"], pair["minus"]) for pair in result["differences"]]
    assert pairs == [("generator", "gray"), ("other <b>", "gray"), ("other <b>", "generator")]
    for pair in result["differences"]:
        for name, values in pair["metrics"].items():
            between = (result["rows"][row][name]["mean"] for row in (pair["row"], pair["minus"]))
            assert values["mean"] == pytest.approx(next(between) - next(between), abs=1e-9)
            assert values["significant"] == (values["low"] > 0 or values["high"] < 0)

    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12 * 5 and {line["photo"] for line in lines} == {
        path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.*")
    }
    for row, values in result["rows"].items():
        of_row = [line for line in lines if line["row"] == row]
        for name, value in values.items():
            assert np.mean([float(line[name]) for line in of_row]) == pytest.approx(value["mean"], rel=1e-4, abs=1e-5)
    worse = {line["photo"]: float(line["worse_psnr"]) for line in lines if line["row"] == "generator"}
    psnrs = {(line["photo"], line["row"]): float(line["psnr"]) for line in lines if line["psnr"]}
    assert worse == {photo: float(psnrs[photo, "generator"] < psnrs[photo, "gray"]) for photo in worse}


def test_the_mean_color_is_the_same_everywhere(batch):
    photos = torch.full((1, 3, 8, 8), 119, dtype=torch.uint8)  # L of about 50
    lab = rgb_to_lab(constant_method([10.0, -20.0]).colorize(Batch.of(photos, [0])) / 255)
    assert lab[:, 1].mean().item() == pytest.approx(10, abs=0.5)
    assert lab[:, 2].mean().item() == pytest.approx(-20, abs=0.5)


def test_parts_are_disjoint_and_their_order_is_the_seeds(run, refused, weights, photo_folder, tmp_path):
    def photos(*words):
        code, output, _ = evaluate(run, weights, "--data", photo_folder, "--output", "out", *words)
        assert code == 0, output
        with (tmp_path / "out" / "results.csv").open(newline="") as file:
            return [line["photo"] for line in csv.DictReader(file) if line["row"] == "gray"]

    first, rest = photos("--part", "0:5"), photos("--part", "5:12")
    assert len(first) == 5 and len(rest) == 7 and not set(first) & set(rest)
    assert photos("--part", "0:3") == first[:3]
    assert set(photos("--part", "0:5", "--seed", 7)) != set(first)
    assert "beyond the 12 photos" in refused(
        "evaluate.py", "--weights", weights, "--data", photo_folder, "--cache", "cache", "--part", "5:13"
    )
    for wrong in ("5", "a:b", "3:3", "-1:4"):
        assert evaluate(run, weights, "--data", photo_folder, f"--part={wrong}")[0] == 2


def test_the_reports_protocol_stands_beside_the_plain_one(run, weights, photo_folder, tmp_path):
    words = ("--data", photo_folder, "--output")
    assert evaluate(run, weights, *words, "plain")[0] == 0
    code, output, _ = evaluate(run, weights, *words, "report", "--protocol", "report")
    assert code == 0 and "as it meant to" in output
    plain, report = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("plain", "report"))
    for row in ("gray", "generator"):
        values = report["rows"][row]
        assert values["ssim"]["mean"] == pytest.approx(plain["rows"][row]["ssim"]["mean"], abs=1e-4)
        assert 0 < values["ssim_as_it_did"]["mean"] < 1 and 0 < values["ssim_as_meant"]["mean"] < 1
    values = report["rows"]["gray"]  # whose colors do not depend on how often they are predicted
    assert values["ssim_as_meant"]["mean"] == pytest.approx(values["ssim"]["mean"], abs=0.05)
    assert "ssim_as_meant" not in plain["rows"]["gray"]
    assert "as it did" in (tmp_path / "report" / "results.html").read_text()


def test_a_runs_own_validation_photos_are_the_default(run, photo_folder, tmp_path):
    small = ("--size", 32, "--batch-size", 4, "--epochs", 1, "--cache", "cache", "--encoder", "none")
    assert run("train.py", "--stage", "pretrain", "--data", photo_folder, *small)[0] == 0
    code, output, _ = run("evaluate.py", "--cache", "cache", "--photo-size", 64)
    assert code == 0 and "on 3 photos of runs/001-pretrain's validation split" in output
    result = json.loads((tmp_path / "runs" / "001-pretrain" / "evaluation" / "results.json").read_text())
    assert result["photos"] == 3 and result["models"][0]["network_size"] == 32
    assert list(result["rows"]) == ["gray", "mean color", "001-pretrain", "truth"]
    with Image.open(tmp_path / "runs" / "001-pretrain" / "evaluation" / "photos.png") as figure:
        assert figure.width > 600


def test_people_are_asked_about_one_generator(run, weights, photo_folder, tmp_path):
    code, output, _ = evaluate(run, weights, "--data", photo_folder, "--part", "0:3", "--output", "out", "--human")
    assert code == 0 and "human.html (3 pairs)" in output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["human.html"]


def test_bad_calls_are_refused(refused, weights, photo_folder, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.pt").write_text("words")
    assert "no photos in empty" in refused("evaluate.py", "--weights", weights, "--data", "empty")
    assert "there is no gone" in refused("evaluate.py", "--weights", weights, "--data", "gone")
    assert "words.pt" in refused("evaluate.py", "--weights", "words.pt", "--data", photo_folder)
    assert "given twice" in refused("evaluate.py", "--weights", weights, weights, "--data", photo_folder)
    assert "tpu" in refused("evaluate.py", "--weights", weights, "--data", photo_folder, "--device", "tpu")

    def no_network(cache):
        raise UserError("cannot download; give your own photos with --data FOLDER")

    monkeypatch.setattr(selection, "download_coco_sample", no_network)
    assert "--data FOLDER" in refused("evaluate.py", "--weights", weights)
    monkeypatch.setattr(runs, "SHIPPED_GENERATOR", tmp_path / "none.pt")
    assert "no weights" in refused("evaluate.py", "--data", photo_folder)


def test_gray_photos_do_not_spoil_the_means(run, weights, photo_folder, tmp_path):
    """A gray photo's gray output has no error and so an infinite PSNR; both rows leave it out."""
    assert evaluate(run, weights, "--data", photo_folder, "--output", "without")[0] == 0
    Image.new("RGB", (64, 64), (90, 90, 90)).save(photo_folder / "gray.png")
    assert evaluate(run, weights, "--data", photo_folder, "--output", "with")[0] == 0
    without, with_gray = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("without", "with"))
    assert (without["photos"], with_gray["photos"]) == (12, 13)
    for row in ("gray", "generator"):
        assert with_gray["rows"][row]["psnr"]["mean"] == pytest.approx(without["rows"][row]["psnr"]["mean"])
    with (tmp_path / "with" / "results.csv").open(newline="") as file:
        psnrs = {(line["photo"], line["row"]): line["psnr"] for line in csv.DictReader(file)}
    assert psnrs["gray.png", "gray"] == "inf"


def test_gray_photos_alone_have_no_psnr(run, weights, tmp_path):
    (tmp_path / "grays").mkdir()
    for level in (0, 90, 255):
        Image.new("RGB", (64, 64), (level,) * 3).save(tmp_path / "grays" / f"{level}.png")
    code, _, errors = evaluate(run, weights, "--data", "grays", "--output", "out", "--protocol", "report")
    assert code == 0, errors
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert rows["gray"]["psnr"] == {"mean": None, "low": None, "high": None} and rows["gray"]["ssim"]["mean"] == 1


def test_a_run_that_trained_on_these_photos_is_not_compared(run, refused, photo_folder, tmp_path):
    small = ("--size", 32, "--batch-size", 4, "--epochs", 1, "--cache", "cache", "--encoder", "none")
    for seed in (1, 2):
        words = ("--stage", "pretrain", "--data", photo_folder, "--seed", seed)
        assert run("train.py", *words, *small)[0] == 0
    both = ("--weights", "runs/001-pretrain", "runs/002-pretrain", "--cache", "cache", "--photo-size", 64)
    assert "was trained on" in refused("evaluate.py", *both)


def test_points_old_photos_and_skin_have_rows_of_their_own(run, weights, photo_folder, tmp_path):
    hinted = save(tmp_path / "hinted.pt", hints=True)
    words = ("--points", 5, 0, 1, "--input", "worn", "orthochromatic", "--skin", "--part", "0:6", "--output", "out")
    code, output, _ = evaluate(run, [hinted, weights], "--data", photo_folder, *words)
    assert code == 0 and "no rows with points for generator" in output
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    old = [["worn", "orthochromatic"], ["1 point", "5 points", "worn", "orthochromatic"]]
    variants = [[f"{name}, {kind}" for kind in kinds] for name, kinds in zip(("generator", "hinted"), old, strict=True)]
    assert list(result["rows"]) == ["gray", "hinted", *variants[1], "generator", *variants[0], "truth"]
    pairs = [(pair["row"], pair["minus"]) for pair in result["differences"]]
    assert ("hinted, 5 points", "hinted") in pairs and ("generator, worn", "generator") in pairs
    curve = result["points"]["hinted"]
    assert [entry["points"] for entry in curve] == [0, 1, 5] and list(result["points"]) == ["hinted"]
    for entry, row in zip(curve, ("hinted", "hinted, 1 point", "hinted, 5 points"), strict=True):
        assert all(entry[metric] == result["rows"][row][metric] for metric in ("psnr", "ssim", "ciede2000"))
    assert result["rows"]["hinted, 5 points"]["adherence"]["mean"] > 0 and "spill" in result["rows"]["hinted"]
    assert result["rows"]["gray"]["skin_hue"]["mean"] is None
    page = (tmp_path / "out" / "results.html").read_text()
    assert "PSNR, dB over the number of points" in page and "skin chroma" in page
    line = run("evaluate.py", "--weights", weights, "--data", photo_folder, "--points", 3)[2]
    assert line.splitlines()[-1].startswith("error: generator takes no points")


def test_two_processes_share_the_photos_and_give_the_same_numbers(run, launch, weights, photo_folder, tmp_path):
    """Three chunks of a batch each; every process scores its share, and one writes."""
    words = ("--weights", weights, "--data", photo_folder, "--cache", "cache", "--photo-size", 48, "--device", "cpu")
    assert run("evaluate.py", *words, "--output", "alone")[0] == 0
    script = tmp_path / "small_chunks.py"
    script.write_text(
        "import runpy\nfrom pix2pix.evaluation import scoring\nfrom pix2pix.unet import ResNet18Encoder\n"
        f"scoring.BATCH = scoring.CHUNK = 4\nResNet18Encoder.widths = {ResNet18Encoder.widths}\n"
        f"runpy.run_path({str(ROOT / 'evaluate.py')!r}, run_name='__main__')\n"
    )
    printed = launch(script, *words, "--output", tmp_path / "shared")
    assert printed.count("written: results.json") == 1
    alone, shared = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("alone", "shared"))
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == sorted(FILES)
    for name, values in alone["rows"].items():
        for metric, value in values.items():
            assert shared["rows"][name][metric]["mean"] == pytest.approx(value["mean"], rel=1e-4, abs=1e-4)
