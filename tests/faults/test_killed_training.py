"""Training killed at random moments, again and again, ends with the weights and the history of an unbroken run."""

import json
import random
import subprocess
import time

import pytest
import torch
from conftest import ROOT, process

from pix2pix.checkpoint import load_training

pytestmark = pytest.mark.faults
KILLS = 25  # in each stage
COMMON = ("--size", 64, "--batch-size", 4, "--epochs", 3, "--log-every", 1, "--device", "cpu", "--precision", "fp32")
FIRST = {
    "pretrain": ("--stage", "pretrain", "--encoder", "none", "--data", "photos", *COMMON),
    "gan": ("--stage", "gan", "--from", "../start/runs/001-pretrain", "--data", "photos", *COMMON),
}


def train(folder, *words):
    return process("train.py", *words, "--cache", "cache", "--workers", 0, cwd=folder, start_new_session=True)


def outcome(run):
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    for line in history:
        line.pop("photos_per_second")
    return load_training(run / "last.pt"), history, (run / "steps.jsonl").read_text()


def equal(one, other):
    """Whether two nested states are the same bit for bit; the seconds that an epoch took are not part of a state."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one if key != "seconds")
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("stage", ["pretrain", "gan"])
def test_killed_again_and_again(stage, photo_folder, tmp_path):
    start = tmp_path / "start"
    if stage == "gan":
        (start / "photos").parent.mkdir()
        (start / "photos").symlink_to(photo_folder)
        child = train(start, *FIRST["pretrain"][:-6], "--epochs", 1, "--log-every", 9)
        assert child.wait() == 0, child.stdout.read()
    for name in ("unbroken", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photos").symlink_to(photo_folder)
    began = time.perf_counter()
    child = train(tmp_path / "unbroken", *FIRST[stage])
    assert child.wait() == 0, child.stdout.read()
    lasted = time.perf_counter() - began
    expected = outcome(tmp_path / "unbroken" / "runs" / f"001-{stage}")

    random.seed(stage)
    kills, finished, said = 0, 0, ""
    while kills < KILLS:
        runs = sorted((tmp_path / "killed" / "runs").glob("0*"))
        resumable = bool(runs) and (runs[-1] / "last.pt").exists()
        child = train(tmp_path / "killed", *(("--resume", runs[-1]) if resumable else FIRST[stage]))
        try:
            said, _ = child.communicate(timeout=random.uniform(0.1, 1) * lasted)
            assert child.returncode == 0, said
            assert equal(outcome(runs[-1]), expected)
            finished += 1
            runs[-1].rename(tmp_path / f"finished-{finished}")
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills += 1
    runs = sorted((tmp_path / "killed" / "runs").glob("0*"))
    resumable = bool(runs) and (runs[-1] / "last.pt").exists()
    child = train(tmp_path / "killed", *(("--resume", runs[-1]) if resumable else FIRST[stage]))
    said, _ = child.communicate()
    assert child.returncode == 0, said
    runs = sorted((tmp_path / "killed" / "runs").glob("0*"))
    assert equal(outcome(runs[-1]), expected)
    print(f"{stage}: {kills} kills, {finished + 1} runs finished, each equal to the unbroken one")


def test_one_process_of_two_is_killed(photo_folder, tmp_path):
    words = ("--stage", "pretrain", "--encoder", "none", "--data", photo_folder, *COMMON, "--epochs", 40)
    torchrun = ("-m torch.distributed.run", "--nproc_per_node=2", "--master_port=29533", ROOT / "train.py")
    child = process(*torchrun, *words, "--cache", "cache", cwd=tmp_path, start_new_session=True)
    run = tmp_path / "runs" / "001-pretrain"
    while not (run / "steps.jsonl").exists():
        assert child.poll() is None, child.stdout.read()
        time.sleep(0.1)
    listed = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True)
    victim = listed.stdout.split()[-1]
    subprocess.run(["kill", "-KILL", victim], check=True)
    said, _ = child.communicate(timeout=120)
    print(said)
    assert child.returncode != 0
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1 and "another process" in "".join(errors), said
    load_training(run / "last.pt")
    child = process(*torchrun, "--resume", run, cwd=tmp_path, start_new_session=True)
    time.sleep(20)
    child.terminate()
    said, _ = child.communicate(timeout=120)
    assert "Traceback" not in said
