"""One of two processes: a step of each stage on this process's half of a batch; rank 0 saves what came of it."""

import sys
from dataclasses import replace

import torch
import torch.distributed as dist

from pix2pix.device import choose_precision
from pix2pix.distributed import join_world, start_device
from pix2pix.recipes import RECIPES, Settings
from pix2pix.state import create_state
from pix2pix.training import Batch, gan_step, pretrain_step
from pix2pix.unet import GeneratorConfig, UNetGenerator

CPU = torch.device("cpu")
SIZE = 64  # batch normalization of fewer values than 16 makes much of rounding


def new_state(stage):
    torch.manual_seed(0)
    recipe = replace(RECIPES["report"][stage], batch_size=8)
    generator = UNetGenerator(GeneratorConfig(decoder_widths=(32, 16, 8, 8)))
    generator.init_weights()
    settings, precision = Settings(stage, recipe, SIZE, 0, 10), choose_precision(CPU, "fp32")
    return create_state(settings, generator, steps_per_epoch=10, device=CPU, precision=precision)


def half(rank):
    random = torch.Generator().manual_seed(rank)
    lightness, ab = (2 * torch.rand(4, planes, SIZE, SIZE, generator=random) - 1 for planes in (1, 2))
    return Batch(lightness, ab, None)


def gradients(network):
    return {name: value.grad for name, value in network.named_parameters()}


if __name__ == "__main__":
    world = join_world()
    start_device("cpu", world)
    saved = {}
    for stage, step in (("pretrain", pretrain_step), ("gan", gan_step)):
        state = new_state(stage)
        state.advance(step(state, half(world.rank)))
        means = state.mean_losses()  # over both processes
        names = ["generator", "discriminator"][: len(state.optimizers)]
        saved[stage] = {"losses": means} | {name: gradients(state.networks[name]) for name in names}
        if stage == "gan":
            saved["discriminator"] = state.discriminator.state_dict()
    if world.is_main:
        torch.save(saved, sys.argv[1])
    dist.destroy_process_group()
