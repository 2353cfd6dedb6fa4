"""Many photos and many steps in one process: neither memory nor open files grow."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pix2pix.checkpoint import save_generator
from pix2pix.device import choose_precision
from pix2pix.inference import Colorizer
from pix2pix.recipes import RECIPES, Settings
from pix2pix.state import create_state
from pix2pix.training import gan_step, prepare_batch, pretrain_step
from pix2pix.unet import GeneratorConfig, UNetGenerator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
CPU = torch.device("cpu")


def measure():
    """(resident memory in MB, open files) of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list(Path("/proc/self/fd").iterdir()))


def watch(count, action, every):
    """MB a thousand actions that the memory grows by after the first fifth, by least squares; prints what it saw."""
    seen = []
    for number in range(count):
        action(number)
        if number % every == 0 and number >= count // 5:
            gc.collect()
            seen.append((number, *measure()))
    numbers, memory, files = np.array(seen).T
    slope = np.polyfit(numbers, memory, 1)[0] * 1000
    print(f"{count} times: {memory[0]:.0f} to {memory[-1]:.0f} MB, {slope:+.2f} MB a thousand; {int(files[-1])} files")
    assert files.max() == files.min()
    return slope


def test_2000_photos_through_one_colorizer(batch, tmp_path):
    torch.manual_seed(0)
    save_generator(tmp_path / "g.pt", UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8))), size=32, about={})
    colorizer = Colorizer(tmp_path / "g.pt", device="cpu")
    sizes = [(64, 96), (96, 64), (128, 96), (33, 77), (96, 128)]

    def action(number):
        height, width = sizes[number % len(sizes)]
        colorizer.colorize(batch[number % 4][None, :, :height, :width])

    assert watch(2000, action, every=50) < 2


@pytest.mark.parametrize("stage", ["pretrain", "gan"])
def test_5000_steps(stage, batch):
    torch.manual_seed(0)
    recipe = replace(RECIPES["default"][stage], batch_size=2, lambda_feature=0.0)
    settings = Settings(stage, recipe, 32, 0, 250)
    precision = choose_precision(CPU, "fp32")
    generator = UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8), hints=True))
    generator.init_weights()
    state = create_state(settings, generator, steps_per_epoch=5000, device=CPU, precision=precision)
    step = gan_step if stage == "gan" else pretrain_step

    def action(number):
        state.advance(step(state, prepare_batch(batch[:2], settings, state.random)))

    assert watch(5000 if stage == "pretrain" else 2000, action, every=100) < 5
