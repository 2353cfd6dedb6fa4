"""Training killed at random moments, again and again, ends with the weights and the history of an unbroken run."""

import json
import random
import shutil
import subprocess
import time
from collections import Counter

import pytest
import torch
from conftest import ROOT, process

from pix2pix.checkpoint import load_training

pytestmark = pytest.mark.faults
KILLS = 25  # in each stage
MOMENTS = ("step", "checkpoint", "history", "figure")
COMMON = ("--size", 64, "--batch-size", 4, "--epochs", 3, "--log-every", 1, "--device", "cpu", "--precision", "fp32")
FIRST = {
    "pretrain": ("--stage", "pretrain", "--encoder", "none", "--data", "photos", *COMMON),
    "gan": ("--stage", "gan", "--from", "../start/runs/001-pretrain", "--data", "photos", *COMMON),
}


def train(folder, *words):
    words = (*words, "--cache", "cache", "--workers", 0)
    return process("tests/faults/watched_train.py", *words, cwd=folder, start_new_session=True)


def doing(folder):
    """What the process in this folder does, or did when it was killed."""
    path = folder / "doing"
    return path.read_text().strip() if path.exists() else "start"


def latest(folder):
    """The folder's run that can be resumed, or None."""
    runs = sorted((folder / "runs").glob("0*"))
    return runs[-1] if runs and (runs[-1] / "last.pt").exists() else None


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
def test_killed_again_and_again(stage, photo_folder, tmp_path, monkeypatch):
    """Half of the kills come at any moment, the others while something is written or in a step."""
    monkeypatch.setenv("PIX2PIX_DOING", "doing")
    for name in ("start", "unbroken", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photos").symlink_to(photo_folder)
    if stage == "gan":
        child = train(tmp_path / "start", *FIRST["pretrain"][:-8], "--epochs", 1, "--device", "cpu")
        assert child.wait() == 0, child.stdout.read()
    began = time.perf_counter()
    child = train(tmp_path / "unbroken", *FIRST[stage])
    assert child.wait() == 0, child.stdout.read()
    lasted = time.perf_counter() - began
    expected = outcome(tmp_path / "unbroken" / "runs" / f"001-{stage}")

    rng, kills, finished = random.Random(stage), Counter(), 0
    folder = tmp_path / "killed"
    while True:
        run, enough = latest(folder), kills.total() == KILLS
        if run is None:
            shutil.rmtree(folder / "cache", ignore_errors=True)
        child = train(folder, *(("--resume", run) if run else FIRST[stage]))
        what = rng.choice(("cache", *MOMENTS)) if run is None else rng.choice(MOMENTS)
        if not enough and wait_for(child, folder, what if kills.total() % 2 else None, rng, lasted):
            child.kill()
            child.communicate()
            kills[doing(folder)] += 1
            (folder / "doing").unlink(missing_ok=True)
            continue
        said, _ = child.communicate()
        assert child.returncode == 0, said
        run = latest(folder)
        assert equal(outcome(run), expected)
        assert not [path for path in run.rglob(".*")]
        finished += 1
        if enough:
            break
        (folder / "runs").rename(tmp_path / f"finished-{finished}")
    print(f"{stage}: {KILLS} kills {dict(kills)}, {finished} runs finished, each equal to the unbroken one")


def wait_for(child, folder, what, rng, lasted):
    """Wait until the process does `what`, and a little longer, or, for None, for any time up to `lasted` seconds;
    False if it has ended before."""
    end = time.perf_counter() + rng.uniform(0, 1) * lasted
    while time.perf_counter() < end or what is not None:
        if child.poll() is not None:
            return False
        if what is not None and doing(folder) == what and rng.random() < 0.3:
            time.sleep(rng.uniform(0, 0.05))
            break
        time.sleep(0.002 if what else 0.02)
    return child.poll() is None


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
