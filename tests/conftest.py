"""Shared fixtures: small real photos (cut from scikit-image's own) and the entry scripts run in this process."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from narrow_widths import WIDTHS
from PIL import Image
from skimage import data

from pix2pix import recorder
from pix2pix.unet import ResNet18Encoder

os.environ["OMP_NUM_THREADS"] = "1"  # of child processes
torch.set_num_threads(1)  # one process per core: threads of several would wait for each other


@pytest.fixture
def two_threads():
    """PyTorch computes with two threads."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_addoption(parser):
    parser.addoption(
        "--precision", choices=("fp32", "bf16"), help="what the CPU is taken to compute in, whatever it is"
    )


@pytest.fixture(autouse=True)
def forced_precision(request, monkeypatch):
    """With --precision, what `choose_precision` finds out about the CPU."""
    precision = request.config.getoption("--precision")
    if precision:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: precision == "bf16")


@pytest.fixture(scope="session")
def real_photos():
    """Twelve color photos (96, 128, 3) uint8 cut from four of scikit-image's."""
    cuts = []
    for photo in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket()):
        cuts += [photo[top : top + 192 : 2, 40 : 40 + 256 : 2] for top in (0, 50, 100)]
    assert all(cut.shape == (96, 128, 3) for cut in cuts)
    return cuts


@pytest.fixture(scope="session")
def photo(real_photos):
    """One of them."""
    return real_photos[0]


@pytest.fixture(scope="session")
def deep_photo(real_photos):
    """uint16 (96, 128, 3) whose low bytes matter."""
    noise = np.random.default_rng(0).integers(0, 256, real_photos[0].shape, dtype=np.uint16)
    return real_photos[0].astype(np.uint16) << 8 | noise


@pytest.fixture(scope="session")
def mask():
    """uint8 (96, 128), 0 to 222."""
    return np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)


def save_photos(folder, photos):
    """Photos as PNG and JPEG, some in a folder inside."""
    (folder / "inner").mkdir(parents=True)
    for number, photo in enumerate(photos):
        name = f"{number:02d}.png" if number % 2 else f"inner/{number:02d}.jpg"
        Image.fromarray(photo).save(folder / name)
    return folder


@pytest.fixture
def photo_folder(tmp_path, real_photos):
    """A folder of the twelve photos."""
    return save_photos(tmp_path / "photos", real_photos)


@pytest.fixture
def batch(real_photos):
    """The first four photos as uint8 (4, 3, 96, 128)."""
    return torch.from_numpy(np.stack(real_photos[:4])).permute(0, 3, 1, 2).contiguous()


@pytest.fixture
def narrow(monkeypatch):
    """Networks of the same layers with a tenth of the weights: their checkpoints are written in no time."""
    monkeypatch.setattr(ResNet18Encoder, "widths", WIDTHS)


@pytest.fixture
def browser():
    """A headless Chromium; the test is skipped where none is installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def locked(monkeypatch):
    """Folders called "locked" cannot be read, not even by root."""
    scan = os.scandir

    def refuse(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.fixture
def no_curves(monkeypatch):
    """Training without curves.png, which takes longer to draw than a small epoch."""
    monkeypatch.setattr(recorder, "draw_curves", lambda history, path: None)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """`run("train.py", "--stage", "gan")` in `tmp_path`: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")

    def call(script, *words):
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def refused(run):
    """Like `run`, for bad input: asserts a non-zero exit and one `error:` line, and returns that line."""

    def call(script, *words):
        code, _, errors = run(script, *words)
        lines = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert code == 1 and len(lines) == 1, (code, errors)
        assert "Traceback" not in errors
        return lines[0]

    return call


class Launcher:
    """`launch("narrow_train.py", ...)` runs a script in two processes, forked by torchrun's engine, in `folder`.

    It returns what they print, and fails if they do.
    """

    def __init__(self, folder):
        self.folder = folder
        self.engine = process("tests/torchrun_jobs.py", cwd=folder, stdin=subprocess.PIPE)

    def __call__(self, *words):
        self.engine.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self.engine.stdin.flush()
        said = []
        for line in self.engine.stdout:
            said.append(line)
            if line.startswith("ended: "):
                break
        assert said[-1:] == ["ended: 0\n"], "".join(said)
        return "".join(said)


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """A Launcher in a folder of its own; torch is imported once for all that it launches."""
    launcher = Launcher(tmp_path_factory.mktemp("launched"))
    yield launcher
    output_of(launcher.engine)


def output_of(child, timeout=120):
    """What a process prints until it ends; one that takes longer is killed with its children, and the test fails."""
    try:
        return child.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        pytest.fail(f"not ended after {timeout} s: {child.communicate()[0]}")


def process(script, *words, cwd, **options):
    """A real process of an entry script, or of a module with its own arguments, and its output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *([str(ROOT / script)] if script.endswith(".py") else script.split()), *map(str, words)]
    options = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "start_new_session": True,
    } | options
    return subprocess.Popen(command, cwd=cwd, env=environment, **options)
