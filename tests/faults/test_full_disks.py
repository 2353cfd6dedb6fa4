"""Disks that are full at every write, read-only folders, folders that vanish, two programs at one place."""

import shutil
import subprocess
import time

import pytest
import torch
from conftest import process
from PIL import Image

from pix2pix.checkpoint import load_generator, load_training, save_generator
from pix2pix.unet import GeneratorConfig, UNetGenerator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
WORDS = ("--stage", "pretrain", "--encoder", "none", "--size", 64, "--batch-size", 4, "--epochs", 2, "--log-every", 2)
MEGABYTES = (0.1, 0.5, 1, 5, 100, 229, 240, 300, 457, 460, 487, 520, 700, 760)


@pytest.fixture
def disk(tmp_path):
    """`disk(megabytes)`: an empty file system of that size, mounted at the folder it returns."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(megabytes, *options):
        unmount()
        size = ",".join((f"size={round(megabytes * 1024)}k", *options))
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True)
        if result.returncode:
            pytest.skip("mounting a small disk needs root")
        return folder

    def unmount():
        while folder.is_mount():
            subprocess.run(["umount", "-l", folder], check=True)

    yield mount
    unmount()


def check(child):
    """One `error:` line and exit code 1, or success; returns that line."""
    said, _ = child.communicate(timeout=300)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said, said
    assert (child.returncode, len(errors)) in ((0, 0), (1, 1)), said
    return errors[0] if errors else ""


@pytest.mark.parametrize("megabytes", MEGABYTES)
def test_training_on_a_full_disk(disk, photo_folder, megabytes):
    folder = disk(megabytes)
    error = check(process("train.py", *WORDS, "--data", photo_folder, "--cache", folder / "cache", cwd=folder))
    print(f"{megabytes} MB: {error or 'finished'}")
    assert bool(error) == (megabytes < 600), error
    for path in folder.rglob("*.pt"):
        (load_generator if path.name == "generator.pt" else load_training)(path)
    assert not list(folder.rglob(".*"))  # nothing half-written is left


def test_colorizing_onto_a_full_disk(disk, real_photos, tmp_path):
    torch.manual_seed(0)
    save_generator(tmp_path / "g.pt", UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8))), size=32, about={})
    for name in ("one.png", "two.png"):
        Image.fromarray(real_photos[0]).resize((640, 480)).save(tmp_path / name)
    folder = disk(0.05)
    words = (tmp_path / "one.png", tmp_path / "two.png", "-o", folder, "--weights", tmp_path / "g.pt")
    child = process("colorize.py", *words, cwd=tmp_path)
    said, _ = child.communicate(timeout=300)
    assert child.returncode == 1 and "No space left" in said and "Traceback" not in said, said
    assert not list(folder.iterdir())


def test_a_read_only_disk(disk, photo_folder, tmp_path):
    folder = disk(1, "ro")
    assert "Read-only" in check(process("train.py", *WORDS, "--data", photo_folder, "--cache", tmp_path, cwd=folder))
    words = (photo_folder / "01.png", "-o", folder / "one.png")
    assert "Read-only" in check(process("colorize.py", *words, cwd=tmp_path))
    assert "Read-only" in check(process("evaluate.py", "--data", photo_folder, "--cache", tmp_path, cwd=folder))


def test_a_run_that_vanishes(photo_folder, tmp_path):
    words = ("--data", photo_folder, "--cache", "cache", "--epochs", 50)
    child = process("train.py", *WORDS, *words, cwd=tmp_path)
    run = tmp_path / "runs" / "001-pretrain"
    while not (run / "history.jsonl").exists():
        assert child.poll() is None, child.stdout.read()
        time.sleep(0.1)
    run.rename(tmp_path / "elsewhere")
    assert "001-pretrain" in check(child)
    load_training(tmp_path / "elsewhere" / "last.pt")


def test_two_runs_and_two_caches_at_once(photo_folder, tmp_path):
    children = [process("train.py", *WORDS, "--data", photo_folder, "--cache", "cache", cwd=tmp_path) for _ in range(2)]
    assert [check(child) for child in children] == ["", ""]
    one, other = (load_training(tmp_path / "runs" / f"00{n}-pretrain" / "last.pt") for n in (1, 2))
    weights = one["networks"]["generator"]
    assert all(torch.equal(value, other["networks"]["generator"][name]) for name, value in weights.items())
    assert len([path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")]) == 2  # train and val
    shutil.rmtree(tmp_path / "runs")
