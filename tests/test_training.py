"""The training loop: resumed equals unbroken bit for bit, two processes equal one, and what a step does."""

import copy
import json
import signal

import pytest
import torch
from conftest import process
from torch import nn
from torchvision.models import resnet18

from pix2pix import training
from pix2pix.checkpoint import load_generator, load_training
from pix2pix.color import to_lab
from pix2pix.data.cache import prepare_photos
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import find_photos
from pix2pix.device import Precision, choose_precision
from pix2pix.errors import UserError
from pix2pix.evaluation.scoring import eval_mode, means, score
from pix2pix.recipes import RECIPES, Recipe
from pix2pix.state import Settings, create_state
from pix2pix.training import validation_score
from pix2pix.unet import UNetGenerator

CPU = torch.device("cpu")
SMALL = ("--size", 32, "--batch-size", 4, "--epochs", 2, "--log-every", 2, "--cache", "cache", "--precision", "fp32")


def pretrain(run, folder, *words):
    return run("train.py", "--stage", "pretrain", "--data", folder, "--encoder", "none", *SMALL, *words)


def gan(run, *words):
    return run("train.py", "--stage", "gan", *SMALL, *words)


def stop_after(monkeypatch, name, steps):
    """SIGTERM in the midst of the `steps`th call of a step function."""
    step, calls = getattr(training, name), []

    def stopping(*words):
        calls.append(1)
        if len(calls) == steps:
            signal.raise_signal(signal.SIGTERM)
        return step(*words)

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


def test_both_stages_stopped_inside_an_epoch_and_resumed_equal_unbroken_ones(run, photo_folder, tmp_path, monkeypatch):
    """12 photos: 3 to validate, 9 to train, 2 steps an epoch; stopped after step 3 of 4."""
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "encoder.pth")
    words = ("--encoder", "encoder.pth", "--lambda-feature", 0.5, "--degrade", 0.5)
    starts = {
        "pretrain": ("_pretrain_step", lambda: pretrain(run, photo_folder, *words)),
        "gan": ("_gan_step", lambda: gan(run, "--from", "runs/001-pretrain", *words[2:])),
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


def test_two_processes_follow_one_on_the_same_batches(run, photo_folder, tmp_path):
    """Both stages, the report's recipe with BatchNorm in the discriminator too; steps.jsonl and the weights' course."""
    words = (*SMALL, "--recipe", "report", "--log-every", 1, "--epochs", 1)
    assert pretrain(run, photo_folder, "--recipe", "report", "--log-every", 1, "--epochs", 1)[0] == 0
    assert gan(run, "--recipe", "report", "--log-every", 1, "--epochs", 1)[0] == 0
    launch = ("-m torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone")
    train = str(training.__file__).replace("pix2pix/training.py", "train.py")
    for stage in (("pretrain", "--data", photo_folder, "--encoder", "none"), ("gan", "--from", "runs/001-pretrain")):
        child = process(*launch, train, "--stage", *stage, *words, "--runs", "shared", cwd=tmp_path)
        output = child.communicate(timeout=120)[0]
        assert child.returncode == 0, output
    for name in ("001-pretrain", "002-gan"):
        alone, shared = (
            [json.loads(line) for line in (tmp_path / runs / name / "steps.jsonl").read_text().splitlines()]
            for runs in ("runs", "shared")
        )
        assert len(alone) == len(shared) == 2
        assert alone[0] == pytest.approx(shared[0], rel=1e-5)
        assert alone[1] == pytest.approx(shared[1], rel=5e-3)  # AdamW's first step makes much of tiny differences
        one, two = (load_training(tmp_path / runs / name / "last.pt") for runs in ("runs", "shared"))
        for network, optimizer in one[
            "optimizers"
        ].items():  # AdamW hides a wrong scale of gradients, its moments don't
            first, second = (
                torch.cat([state["exp_avg"].flatten() for state in saved["optimizers"][network]["state"].values()])
                for saved in (one, two)
            )
            assert (first - second).norm() < 0.4 * first.norm(), network
            assert len(optimizer["state"]) > 5
        one, two = one["networks"], two["networks"]
        for network, values in one.items():
            for key, value in values.items():
                if "running_mean" in key:
                    assert (value - two[network][key]).norm() < 0.05 * value.norm(), (network, key)


@pytest.fixture
def dataset(photo_folder, tmp_path):
    return ColorizationDataset(prepare_photos(find_photos([photo_folder]), 32, cache=tmp_path / "cache", workers=0))


def new_state(stage, **changes):
    torch.manual_seed(0)
    recipe = Recipe(**{**RECIPES["default"][stage].__dict__, **changes})
    settings = Settings(stage=stage, recipe=recipe, size=32, seed=0, log_every=10)
    precision = choose_precision(CPU, "fp32")
    return (
        create_state(settings, UNetGenerator(), steps_per_epoch=10, device=CPU, precision=precision),
        recipe,
        precision,
    )


def test_one_batch_can_be_learned_by_heart(dataset):
    state, recipe, precision = new_state("pretrain", one_cycle=False)
    lightness, ab = to_lab(torch.stack([dataset[i] for i in range(4)]))
    losses = [training._pretrain_step(state, recipe, precision, lightness, ab)["loss_G_L1"].item() for _ in range(25)]
    assert losses[-1] < losses[0] / 2


def test_a_gan_step_moves_both_networks_and_reports_the_six_losses(dataset):
    state, recipe, precision = new_state("gan", lambda_l1=20.0)
    before = {name: copy.deepcopy(network.state_dict()) for name, network in state.networks.items()}
    lightness, ab = to_lab(torch.stack([dataset[i] for i in range(4)]))
    losses = training._gan_step(state, recipe, precision, lightness, ab)
    names = ("loss_D_fake", "loss_D_real", "loss_D", "loss_G_GAN", "loss_G_L1", "loss_G")
    d_fake, d_real, d, g_gan, g_l1, g = (losses[name].item() for name in names)
    assert d == pytest.approx((d_fake + d_real) / 2) and g == pytest.approx(g_gan + g_l1, rel=1e-5)
    network = UNetGenerator()
    network.load_state_dict(before["generator"])
    with torch.no_grad():
        assert g_l1 == pytest.approx(20 * (network.train()(lightness) - ab).abs().mean().item(), rel=1e-3)
    for name in ("generator", "discriminator"):
        for key, value in state.networks[name].named_parameters():
            if "bias" not in key:  # the first gradient of D's last bias is zero in hinge: real and fake cancel
                assert not torch.equal(value, before[name][key]), key
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())


def test_fp16_with_its_scaler_trains_both_networks(dataset):
    lightness, ab = to_lab(torch.stack([dataset[i] for i in range(4)]))
    half = Precision("fp16", "", "cpu")
    exact, recipe, full = new_state("gan")
    expected = training._gan_step(exact, recipe, full, lightness, ab)
    state, recipe, _ = new_state("gan")
    before = copy.deepcopy({name: network.state_dict() for name, network in state.networks.items()})
    assert half.grad_scaler().is_enabled()
    state.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)  # low enough that no step overflows
    losses = training._gan_step(state, recipe, half, lightness, ab)
    assert losses.keys() == expected.keys()
    assert all(losses[name].item() == pytest.approx(expected[name].item(), rel=0.02) for name in expected)
    for name in ("generator", "discriminator"):
        for key, value in state.networks[name].named_parameters():
            assert value.isfinite().all(), key
            assert "weight" not in key or not torch.equal(value, before[name][key]), key


def test_gradients_that_overflow_in_fp16_are_left_out(dataset):
    lightness, ab = to_lab(torch.stack([dataset[i] for i in range(4)]))
    half, (state, recipe, _) = Precision("fp16", "", "cpu"), new_state("pretrain")
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-32)
    weights = copy.deepcopy(dict(state.generator.named_parameters()))
    losses = training._pretrain_step(state, recipe, half, lightness, ab)
    assert all(value.isfinite() for value in losses.values()) and state.scaler.get_scale() == 2.0**8
    assert all(torch.equal(value, weights[name]) for name, value in state.generator.named_parameters())
    training._pretrain_step(state, recipe, half, lightness, ab)
    assert state.scaler.get_scale() == 2.0**8  # low enough now
    assert any(not torch.equal(value, weights[name]) for name, value in state.generator.named_parameters())
    assert all(value.isfinite().all() for value in state.generator.parameters())


def test_the_learning_rates_course():
    state, _, _ = new_state("pretrain", epochs=10)  # 100 steps
    optimizer, scheduler = state.optimizers["generator"], state.schedulers["generator"]
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.04e-3) and max(rates) == rates[20] == pytest.approx(1e-3)
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[60] == pytest.approx(0.5e-3) and 0 < rates[99] < 1e-6


def test_the_moving_average():
    ema, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(ema.weight), nn.init.ones_(network.weight)
    training._update_average(ema, network, decay=0.9, step=10_000)
    assert ema.weight.item() == pytest.approx(0.1)
    training._update_average(ema, network, decay=0.9, step=0)  # at the start the average follows fast
    assert ema.weight.item() == pytest.approx(0.1 + 0.9 * 0.9)


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


def test_the_best_checkpoints_rule():
    def scores(psnr, color):
        return {"model": {"psnr": psnr, "colorfulness": color}, "truth": {"colorfulness": 40.0}}

    assert validation_score("pretrain", scores(23.0, 4.0)) == 23.0
    assert validation_score("gan", scores(23.0, 20.0)) == pytest.approx(21.0)
    assert validation_score("gan", scores(22.0, 40.0)) > validation_score("gan", scores(23.0, 20.0))
    assert validation_score("gan", scores(22.0, 60.0)) < validation_score("gan", scores(22.0, 40.0))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(run, photo_folder, tmp_path, monkeypatch):
    step = training._pretrain_step

    def broken(state, *words):
        return {name: loss * (float("nan") if state.step == 1 else 1) for name, loss in step(state, *words).items()}

    monkeypatch.setattr(training, "_pretrain_step", broken)
    code, _, errors = pretrain(run, photo_folder)
    assert code == 1 and "loss_G_L1 stopped being finite at step 2 (learning rate generator" in errors
    saved = load_training(tmp_path / "runs" / "001-pretrain" / "last.pt")
    assert saved["step"] == 0 and all(v.isfinite().all() for v in saved["networks"]["generator"].values())


def test_precision_is_refused_where_it_cannot_run():
    with pytest.raises(UserError, match="fp16 training needs a CUDA GPU"):
        choose_precision(CPU, "fp16")
    assert choose_precision(CPU, "auto").name in ("bf16", "fp32") and choose_precision(CPU, "auto").reason
