"""Training killed at random moments, again and again, ends with the weights and the history of an unbroken run."""

import itertools
import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest
import torch
from conftest import ROOT, process

from pix2pix.checkpoint import load_training

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
KILLS = 25  # in each stage
MOMENTS = {"step": 0.3, "checkpoint": 0.5, "history": 0.1, "figure": 0.2, "cache": 0.5}  # seconds that each takes
COMMON = ("--size", 64, "--batch-size", 4, "--epochs", 3, "--log-every", 1, "--device", "cpu", "--precision", "fp32")
FIRST = {
    "pretrain": ("--stage", "pretrain", "--encoder", "none", "--data", "photos", *COMMON),
    "gan": ("--stage", "gan", "--from", "../start/runs/001-pretrain", "--data", "photos", *COMMON),
}


def train(folder, *words):
    words = (*words, "--cache", "cache", "--workers", 0)
    (folder / "doing").unlink(missing_ok=True)
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
    """Every second kill comes at any moment, the others in turn while something is written or in a step."""
    for name in ("start", "unbroken", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photos").symlink_to(photo_folder)
    if stage == "gan":
        child = train(tmp_path / "start", *FIRST["pretrain"][:-8], "--epochs", 1, "--device", "cpu")
        said, _ = child.communicate()
        assert child.returncode == 0, said
    began = time.perf_counter()
    child = train(tmp_path / "unbroken", *FIRST[stage])
    said, _ = child.communicate()
    lasted = time.perf_counter() - began
    assert child.returncode == 0, said
    expected = outcome(tmp_path / "unbroken" / "runs" / f"001-{stage}")

    rng, kills, finished, moments = (
        random.Random(stage),
        Counter(),
        0,
        itertools.cycle([moment for moment in MOMENTS if moment != "cache"]),
    )
    folder = tmp_path / "killed"
    while True:
        run, enough = latest(folder), kills.total() == KILLS
        if run is None:
            shutil.rmtree(folder / "cache", ignore_errors=True)
        at_moment = not enough and kills.total() % 2 == 0
        if at_moment:
            what = "cache" if run is None else next(moments)
            monkeypatch.setenv("PIX2PIX_KILL", f"{what} {rng.randint(1, 2)} {rng.uniform(0, MOMENTS[what]):.3f}")
        child = train(folder, *(("--resume", run) if run else FIRST[stage]))
        monkeypatch.delenv("PIX2PIX_KILL", raising=False)
        try:
            said, _ = child.communicate(timeout=None if at_moment or enough else rng.uniform(0, lasted))
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        if child.returncode == -signal.SIGKILL:
            kills[doing(folder)] += 1
            print(stage, kills.total(), doing(folder), flush=True)
            continue
        assert child.returncode == 0, said
        run = latest(folder)
        assert equal(outcome(run), expected)
        assert not list(run.rglob(".*")) and not list((folder / "cache").glob(".*"))
        finished += 1
        if enough:
            break
        (folder / "runs").rename(tmp_path / f"finished-{finished}")
    print(f"{stage}: {KILLS} kills {dict(kills)}, {finished} runs finished, each equal to the unbroken one")


@pytest.mark.parametrize("which", [0, -1])  # the first writes the run's files
def test_one_process_of_two_is_killed(which, photo_folder, tmp_path):
    words = ("--stage", "pretrain", "--encoder", "none", "--data", photo_folder, *COMMON, "--epochs", 4)
    torchrun = ("-m torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone", ROOT / "train.py")
    child = process(*torchrun, *words, "--cache", "cache", cwd=tmp_path, start_new_session=True)
    run = tmp_path / "runs" / "001-pretrain"
    while not (run / "steps.jsonl").exists():
        assert child.poll() is None, child.stdout.read()
        time.sleep(0.1)
    listed = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True)
    victim = listed.stdout.split()[which]
    subprocess.run(["kill", "-KILL", victim], check=True)
    said, _ = child.communicate(timeout=120)
    print(said)
    assert child.returncode != 0
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "another process" in errors[0] and f"--resume {run.relative_to(tmp_path)}" in errors[0]
    load_training(run / "last.pt")
    child = process(*torchrun, "--resume", run, cwd=tmp_path, start_new_session=True)
    said, _ = child.communicate(timeout=300)
    assert child.returncode == 0 and "error:" not in said, said
    assert [line["epoch"] for line in outcome(run)[1]] == [1, 2, 3, 4]
