"""Processes of torchrun that share a folder's photos, and are killed in the middle of it."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, process
from PIL import Image

from pix2pix.checkpoint import save_generator
from pix2pix.unet import GeneratorConfig, UNetGenerator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
PHOTOS = 300  # so that some are left when the kill comes


def test_three_processes_share_the_photos_also_after_a_kill(real_photos, tmp_path):
    torch.manual_seed(0)
    save_generator(tmp_path / "g.pt", UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8))), size=64, about={})
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(PHOTOS):
        Image.fromarray(real_photos[number % 12]).convert("L").save(folder / f"{number:03d}.png")
    launch = "-m torch.distributed.run --nproc_per_node=3 --master_port=0 --standalone"
    words = (ROOT / "colorize.py", folder, "-o", "out", "--weights", tmp_path / "g.pt")
    child = process(launch, *words, cwd=tmp_path)
    end = time.monotonic() + 300
    while len(list((tmp_path / "out").glob("[!.]*.png"))) < 5 and child.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    for number in [*children_of(child.pid), child.pid]:
        os.kill(number, signal.SIGKILL)
    child.communicate(timeout=60)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[!.]*.png")}
    assert 5 <= len(done) < PHOTOS
    child = process(launch, *words, cwd=tmp_path)
    output = child.communicate(timeout=300)[0]
    assert child.returncode == 0, output
    written = [line.split(" -> ")[0] for line in output.splitlines() if " -> " in line]
    assert len(written) == len(set(written)) == PHOTOS - len(done)
    assert {path.name for path in (tmp_path / "out").glob("[!.]*.png")} == {f"{n:03d}.png" for n in range(PHOTOS)}
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
    for path in (tmp_path / "out").glob("[!.]*.png"):
        with Image.open(path) as image:
            image.load()


def children_of(parent):
    """The numbers of a process's children, by /proc: torchrun gives each of its processes a group of its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if path.read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_folder_leaves_whole_files_alone(real_photos, tmp_path, number):
    torch.manual_seed(0)
    save_generator(tmp_path / "g.pt", UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8))), size=64, about={})
    (tmp_path / "scans").mkdir()
    for index in range(PHOTOS):
        Image.fromarray(real_photos[index % 12]).convert("L").save(tmp_path / "scans" / f"{index:03d}.png")
    child = process("colorize.py", "scans", "-o", "out", "--weights", tmp_path / "g.pt", cwd=tmp_path)
    end = time.monotonic() + 300
    while len(list((tmp_path / "out").glob("[!.]*.png"))) < 5 and child.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    child.send_signal(number)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 128 + number and "Traceback" not in said, said
    written = list((tmp_path / "out").iterdir())
    assert 5 <= len(written) < PHOTOS and not [path for path in written if path.name.startswith(".")]
    for path in written:
        with Image.open(path) as image:
            image.load()
