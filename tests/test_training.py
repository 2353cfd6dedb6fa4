"""The training: resumed equals unbroken bit for bit, and what a batch and a step are."""

import copy
import json
import signal
from dataclasses import replace

import pytest
import torch
from skimage.color import rgb2lab

from pix2pix import training
from pix2pix.checkpoint import load_generator, load_training
from pix2pix.color import to_lab
from pix2pix.data.cache import prepare_photos
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import find_photos
from pix2pix.device import Precision, choose_precision
from pix2pix.evaluation.scoring import eval_mode, means, score
from pix2pix.recipes import RECIPES, Settings
from pix2pix.state import create_state
from pix2pix.training import Batch, gan_step, prepare_batch, pretrain_step
from pix2pix.unet import GeneratorConfig, ResNet18Encoder, UNetGenerator

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("narrow")
SMALL = ("--size", 32, "--batch-size", 4, "--epochs", 2, "--log-every", 2, "--cache", "cache", "--precision", "fp32")


def pretrain(run, folder, *words):
    return run("train.py", "--stage", "pretrain", "--data", folder, "--encoder", "none", *SMALL, *words)


def gan(run, *words):
    return run("train.py", "--stage", "gan", *SMALL, *words)


def stop_after(monkeypatch, name, steps):
    """SIGTERM in the midst of the `steps`th call of a step function."""
    step, calls = getattr(training, name), []

    def stopping(state, batch):
        calls.append(1)
        if len(calls) == steps:
            signal.raise_signal(signal.SIGTERM)
        return step(state, batch)

    monkeypatch.setattr(training, name, stopping)


def assert_same_run(one, other):
    """Equal checkpoints and histories but for the time they took."""
    first, second = load_training(one / "last.pt"), load_training(other / "last.pt")
    first.pop("seconds"), second.pop("seconds")
    assert_equal(first, second)
    assert_equal(
        load_generator(one / "generator.pt").network.state_dict(),
        load_generator(other / "generator.pt").network.state_dict(),
    )
    for name in ("history.jsonl", "steps.jsonl"):
        lines = [[json.loads(line) for line in (run / name).read_text().splitlines()] for run in (one, other)]
        for line in lines[0] + lines[1]:
            line.pop("photos_per_second", None)
        assert lines[0] == lines[1] and len(lines[0]) > 0


def assert_equal(one, other, where=""):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    else:
        assert one == other, where


@pytest.mark.usefixtures("no_curves")
def test_both_stages_stopped_inside_an_epoch_and_resumed_equal_unbroken_ones(run, photo_folder, tmp_path, monkeypatch):
    """12 photos: 3 to validate, 9 to train, 2 steps an epoch; stopped after step 3 of 4."""
    torch.save(ResNet18Encoder().state_dict(), tmp_path / "encoder.pth")
    words = ("--encoder", "encoder.pth", "--lambda-feature", 0.5, "--degrade", 0.5, "--hints", 0.7)
    starts = {
        "pretrain": ("pretrain_step", lambda: pretrain(run, photo_folder, *words)),
        "gan": ("gan_step", lambda: gan(run, "--from", "runs/001-pretrain", *words[2:])),
    }
    for stage, (step, start) in starts.items():
        assert start()[0] == 0
        with monkeypatch.context() as patch:
            stop_after(patch, step, 3)
            code, output, _ = start()
        unbroken, stopped = sorted((tmp_path / "runs").glob(f"*-{stage}"))
        assert code == 128 + signal.SIGTERM
        assert f"python train.py --resume runs/{stopped.name}" in output
        assert load_training(stopped / "last.pt")["step"] == 3
        code, output, _ = run("train.py", "--resume", f"runs/{stopped.name}", "--cache", "cache")
        assert code == 0 and "epoch 2 of 2, step 3" in output
        assert_same_run(unbroken, stopped)
        history = json.loads((stopped / "history.jsonl").read_text().splitlines()[-1])
        assert history["losses"]["loss_G_feature"] > 0
    assert "is finished" in run("train.py", "--resume", stopped, "--cache", "cache")[1]


def test_a_run_leaves_what_it_should(run, photo_folder, tmp_path):
    assert pretrain(run, photo_folder, "--tensorboard")[0] == 0
    code, output, _ = gan(run)
    assert code == 0 and "validation PSNR" in output and "(gray" in output
    folder = tmp_path / "runs" / "002-gan"
    config = json.loads((folder / "config.json").read_text())
    assert config["start"].endswith("runs/001-pretrain") and config["hyperparameters"]["gan_loss"] == "hinge"
    split = json.loads((folder / "split.json").read_text())
    assert split == json.loads((tmp_path / "runs" / "001-pretrain" / "split.json").read_text())
    assert (
        len(split["train"]) == 9
        and len(split["validation"]) == 3
        and not set(split["train"]) & set(split["validation"])
    )
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]
    six = {"loss_D_fake", "loss_D_real", "loss_D", "loss_G_GAN", "loss_G_L1", "loss_G"}
    assert set(history[0]["losses"]) == six and history[0]["lr_generator"] == 1e-4
    for row, names in (("gray", {"psnr", "ssim", "ciede2000", "colorfulness"}), ("truth", {"colorfulness"})):
        assert set(history[0]["validation"][row]) == names
    assert {path.name for path in (folder / "samples").iterdir()} == {"step_000002.png", "step_000004.png"}
    assert {"last.pt", "best.pt", "generator.pt", "curves.png", "steps.jsonl"} <= {
        path.name for path in folder.iterdir()
    }
    assert list((tmp_path / "runs" / "001-pretrain" / "tensorboard").iterdir())
    about = load_generator(folder / "generator.pt").about
    assert about["started_from"]["stage"] == "pretrain" and about["results"]["step"] in (2, 4)
    assert str(tmp_path) not in json.dumps(about)


@pytest.fixture
def dataset(photo_folder, tmp_path):
    return ColorizationDataset(prepare_photos(find_photos([photo_folder]), 32, cache=tmp_path / "cache", workers=0))


def new_state(stage, precision=None, **changes):
    torch.manual_seed(0)
    recipe = replace(RECIPES["default"][stage], batch_size=4, lambda_feature=0.0, **changes)
    settings = Settings(stage=stage, recipe=recipe, size=32, seed=0, log_every=10)
    precision = precision or choose_precision(CPU, "fp32")
    generator = UNetGenerator(GeneratorConfig(decoder_widths=(32, 16, 8, 8), hints=True))
    generator.init_weights()
    return create_state(settings, generator, steps_per_epoch=10, device=CPU, precision=precision)


@pytest.fixture
def plain_batch(dataset):
    """Four whole photos, without hints."""
    return Batch(*to_lab(torch.stack([dataset[i] for i in range(4)])), None)


def test_a_batch_is_the_same_however_many_processes_share_it(dataset):
    photos = torch.stack([dataset[i] for i in range(4)])
    recipe = replace(RECIPES["default"]["gan"], batch_size=4, degrade=1.0, hints=1.0, recolor=0.0, chroma=1.2)
    settings = Settings("gan", recipe, 33, 0, 10)
    whole = prepare_batch(photos, settings, torch.Generator().manual_seed(3))
    halves = [
        prepare_batch(photos[rank::2], settings, torch.Generator().manual_seed(3), slice(rank, None, 2))
        for rank in (0, 1)
    ]
    for number, planes in enumerate(whole):
        for rank in (0, 1):
            assert torch.allclose(planes[rank::2], halves[rank][number], atol=1e-6)
    assert whole.lightness.shape == (4, 1, 33, 33) and whole.ab.shape == (4, 2, 33, 33)
    assert whole.hints.shape == (4, 3, 33, 33) and whole.hints[:, 2].sum() > 0


def test_recolored_things_are_in_the_truth_in_the_hints_and_in_what_film_sees(dataset):
    photos = torch.stack([dataset[i] for i in range(4)])
    batches = []
    for recolor, film in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        recipe = replace(RECIPES["report"]["pretrain"], batch_size=4, hints=1.0, chroma=1.2, recolor=recolor, film=film)
        batches.append(prepare_batch(photos, Settings("pretrain", recipe, 32, 0, 10), torch.Generator().manual_seed(5)))
    plain, recolored, seen, both = batches
    changed = (recolored.ab - plain.ab).norm(dim=1, keepdim=True) > 0.1
    assert 0.01 < changed.float().mean() < 0.9
    assert (recolored.lightness - plain.lightness).abs().max() < 0.02  # L stays
    assert (
        (both.lightness - recolored.lightness)[changed] - (seen.lightness - plain.lightness)[changed]
    ).abs().max() > 0.1
    hinted = recolored.hints[:, 2:] > 0  # at this size all squares have one pixel, and so its very color
    assert hinted.any() and (((recolored.hints[:, :2] - recolored.ab) * hinted).abs() < 1e-5).all()


def test_a_plain_batch_is_the_photos_lab(dataset):
    """The report's recipe changes nothing but mirrors one photo in two: scikit-image's Lab of the squashed photos."""
    photos = torch.stack([dataset[i] for i in range(4)])
    settings = Settings("pretrain", replace(RECIPES["report"]["pretrain"], batch_size=4), 32, 0, 10)
    lightness, ab, hints = prepare_batch(photos, settings, torch.Generator().manual_seed(0))
    mirrored = 0
    for photo, light, colors in zip(photos, lightness, ab, strict=True):
        expected = rgb2lab(photo.permute(1, 2, 0).numpy())
        found = torch.cat((50 * light + 50, 110 * colors)).permute(1, 2, 0).numpy()
        differences = [abs(found - side).max() for side in (expected, expected[:, ::-1])]
        mirrored += differences[1] < differences[0]
        assert min(differences) < 0.1
    assert hints is None and 0 < mirrored < 4


def test_one_batch_can_be_learned_by_heart(plain_batch):
    state = new_state("pretrain", one_cycle=False)
    losses = [pretrain_step(state, plain_batch)["loss_G_L1"].item() for _ in range(25)]
    assert losses[-1] < losses[0] / 2


def test_a_gan_step_moves_both_networks_and_reports_the_six_losses(plain_batch):
    state = new_state("gan", lambda_l1=20.0)
    before = {name: copy.deepcopy(network.state_dict()) for name, network in state.networks.items()}
    losses = gan_step(state, plain_batch)
    names = ("loss_D_fake", "loss_D_real", "loss_D", "loss_G_GAN", "loss_G_L1", "loss_G")
    assert set(losses) == set(names)
    d_fake, d_real, d, g_gan, g_l1, g = (losses[name].item() for name in names)
    assert d == pytest.approx((d_fake + d_real) / 2) and g == pytest.approx(g_gan + g_l1, rel=1e-5)
    network = UNetGenerator(state.generator.config)
    network.load_state_dict(before["generator"])
    with torch.no_grad():
        fake = network.train()(plain_batch.lightness)
    assert g_l1 == pytest.approx(20 * (fake - plain_batch.ab).abs().mean().item(), rel=1e-3)
    for name in ("generator", "discriminator"):
        for key, value in state.networks[name].named_parameters():
            # the first gradient of D's last bias is zero in hinge, since real and fake cancel; no hints were given
            if "bias" not in key and "hint" not in key:
                assert not torch.equal(value, before[name][key]), key
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())


def test_hints_reach_the_generator_and_never_the_discriminator(plain_batch):
    hints = torch.zeros(4, 3, 32, 32)
    hints[:, :, 8:20, 8:20] = 1.0
    state, seen = new_state("gan"), []
    state.discriminator.register_forward_pre_hook(lambda module, planes: seen.append(planes))
    before = copy.deepcopy(dict(state.generator.named_parameters()))
    gan_step(state, plain_batch._replace(hints=hints))
    assert [[plane.shape[1] for plane in planes] for planes in seen] == [[1, 2]] * 3
    moved = [key for key, value in state.generator.named_parameters() if not torch.equal(value, before[key])]
    assert any("hint" in key for key in moved)


def test_fp16_with_its_scaler_trains_both_networks(plain_batch):
    half = Precision("fp16", "", "cpu")
    expected = gan_step(new_state("gan"), plain_batch)
    state = new_state("gan", half)
    before = copy.deepcopy({name: network.state_dict() for name, network in state.networks.items()})
    assert half.grad_scaler().is_enabled()
    state.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)  # low enough that no step overflows
    losses = gan_step(state, plain_batch)
    assert losses.keys() == expected.keys()
    assert all(losses[name].item() == pytest.approx(expected[name].item(), rel=0.02) for name in expected)
    for name in ("generator", "discriminator"):
        for key, value in state.networks[name].named_parameters():
            assert value.isfinite().all(), key
            assert "weight" not in key or "hint" in key or not torch.equal(value, before[name][key]), key


def test_gradients_that_overflow_in_fp16_are_left_out(plain_batch):
    state = new_state("pretrain", Precision("fp16", "", "cpu"))
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-32)
    weights = copy.deepcopy(dict(state.generator.named_parameters()))
    losses = pretrain_step(state, plain_batch)
    assert all(value.isfinite() for value in losses.values()) and state.scaler.get_scale() == 2.0**8
    assert all(torch.equal(value, weights[name]) for name, value in state.generator.named_parameters())
    pretrain_step(state, plain_batch)
    assert state.scaler.get_scale() == 2.0**8  # low enough now
    assert any(not torch.equal(value, weights[name]) for name, value in state.generator.named_parameters())
    assert all(value.isfinite().all() for value in state.generator.parameters())


def test_scoring_leaves_the_network_as_it_was(dataset):
    torch.manual_seed(0)
    network = UNetGenerator().train()
    network.encoder.bn1.eval()
    before = copy.deepcopy(network.state_dict())
    first = score(network, dataset, 32, device=CPU)
    assert_equal(before, network.state_dict())
    assert network.training and network.decoder[0].bn1.training and not network.encoder.bn1.training
    with eval_mode(network):
        assert not network.decoder[0].bn1.training
    assert_equal(first, score(network, dataset, 32, device=CPU))
    assert means(first)["gray"]["colorfulness"] == 0 and means(first)["truth"]["colorfulness"] > 10


@pytest.mark.usefixtures("no_curves")
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(run, photo_folder, tmp_path, monkeypatch):
    step = training.pretrain_step

    def broken(state, batch):
        return {name: loss * (float("nan") if state.step == 1 else 1) for name, loss in step(state, batch).items()}

    monkeypatch.setattr(training, "pretrain_step", broken)
    code, _, errors = pretrain(run, photo_folder)
    assert code == 1 and "loss_G_L1 stopped being finite at step 2 (learning rate generator" in errors
    saved = load_training(tmp_path / "runs" / "001-pretrain" / "last.pt")
    assert saved["step"] == 0 and all(v.isfinite().all() for v in saved["networks"]["generator"].values())
