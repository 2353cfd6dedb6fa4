"""Weights of a tiny generator, for tests of what is done with weights."""

import torch

from pix2pix.checkpoint import save_generator
from pix2pix.unet import GeneratorConfig, UNetGenerator


def save_tiny_weights(path, *, hints=True):
    """A generator file whose random network gives every photo some color, and takes points or does not."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8), hints=hints))
    network.init_weights()
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.3)
    save_generator(path, network.eval(), size=64, about={"stage": "pretrain"})
    return path
