"""Two processes on the CPU: their gradients are the mean of both halves', and both stages train and resume."""

import json
import shutil

import one_of_two
import pytest
import torch
from conftest import ROOT, output_of, process

from pix2pix.checkpoint import load_training
from pix2pix.losses import GANLoss
from pix2pix.training import pretrain_step

TORCHRUN = ("-m torch.distributed.run", "--nproc_per_node=2", "--standalone", ROOT / "tests" / "narrow_train.py")
SMALL = ("--size", 32, "--batch-size", 4, "--epochs", 2, "--log-every", 1, "--cache", "cache", "--precision", "fp32")


@pytest.fixture(scope="module")
def saved(launch):
    """What rank 0 of two processes saved after a step of each stage."""
    launch("one_of_two.py", "saved.pt")
    return torch.load(launch.folder / "saved.pt", weights_only=True)


def assert_close(found, expected):
    """Gradients that agree to a hundredth of their length, all parameters taken together: rounding differs."""
    assert found.keys() == expected.keys()
    found, expected = (torch.cat([each[name].flatten() for name in expected]) for each in (found, expected))
    assert (found - expected).norm() <= 0.01 * expected.norm()


def mean_gradients(network, losses):
    """The mean over `losses`, a function each, of the gradients of the network's parameters."""
    total = {name: 0 for name, _ in network.named_parameters()}
    for loss in losses:
        network.zero_grad()
        loss().backward()
        total = {name: total[name] + value.grad / len(losses) for name, value in network.named_parameters()}
    return total


def test_pretraining_averages_the_gradients_of_both_halves(saved):
    states = [one_of_two.new_state("pretrain") for _ in range(2)]
    losses = [pretrain_step(state, one_of_two.half(rank)) for rank, state in enumerate(states)]
    one, two = (one_of_two.gradients(state.generator) for state in states)
    assert_close(saved["pretrain"]["generator"], {name: (one[name] + two[name]) / 2 for name in one})
    expected = sum(loss["loss_G_L1"].item() for loss in losses) / 2
    assert saved["pretrain"]["losses"] == {"loss_G_L1": pytest.approx(expected, rel=1e-5)}


def test_the_gan_stage_averages_both_networks_gradients(saved):
    """Written out with the networks alone; the generator's step meets the discriminator after its own."""
    gan_loss, halves = GANLoss("vanilla"), [one_of_two.half(rank) for rank in (0, 1)]

    def of_discriminator(half):
        with torch.no_grad():
            fake = generator(half.lightness)
        judged = [discriminator(half.lightness, ab) for ab in (fake, half.ab)]
        return (gan_loss(judged[0], False) + gan_loss(judged[1], True)) / 2

    def of_generator(half):
        fake = generator(half.lightness)
        return gan_loss(discriminator(half.lightness, fake), True) + 100 * (fake - half.ab).abs().mean()

    state = one_of_two.new_state("gan")
    generator, discriminator = state.generator, state.discriminator
    expected = mean_gradients(discriminator, [lambda half=half: of_discriminator(half) for half in halves])
    assert_close(saved["gan"]["discriminator"], expected)
    discriminator.load_state_dict(saved["discriminator"])
    expected = mean_gradients(generator, [lambda half=half: of_generator(half) for half in halves])
    assert_close(saved["gan"]["generator"], expected)


def test_both_stages_train_and_resume(launch, photo_folder):
    train, folder = "narrow_train.py", launch.folder
    launch(train, "--stage", "pretrain", "--data", photo_folder, "--encoder", "none", *SMALL)
    launch(train, "--stage", "gan", *SMALL, "--epochs", 1)
    for name, epochs in (("001-pretrain", [1, 2]), ("002-gan", [1])):
        lines = (folder / "runs" / name / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == epochs
        assert all(value.isfinite().all() for value in generator_of(folder / "runs" / name).values())
    run = folder / "runs" / "001-pretrain"
    unbroken = generator_of(run)
    shutil.copy(run / "best.pt", run / "last.pt")  # of the first epoch, or of the second where that was better
    begun = load_training(run / "last.pt")["epoch"]
    launch(train, "--resume", run, "--cache", "cache")
    assert load_training(run / "last.pt")["epoch"] == 2 and begun in (1, 2)
    for name, value in generator_of(run).items():
        assert torch.allclose(value.float(), unbroken[name].float(), rtol=1e-3, atol=1e-4), name


def generator_of(run):
    return load_training(run / "last.pt")["networks"]["generator"]


@pytest.mark.usefixtures("narrow")
def test_torchrun_refuses_a_run_that_another_trains(run, photo_folder, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    words = ("--stage", "pretrain", "--data", photo_folder, "--encoder", "none", *SMALL, "--epochs", 1)
    assert run("train.py", *words)[0] == 0
    folder = tmp_path / "runs" / "001-pretrain"
    with (folder / "config.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        child = process(*TORCHRUN, "--resume", folder, cwd=tmp_path)
        said = output_of(child)
    assert child.returncode and "is being trained by another process" in said
    assert "[rank" not in said and "barrier" not in said, said  # no traceback of the other one
