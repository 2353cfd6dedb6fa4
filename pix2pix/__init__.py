"""Colour black-and-white photos: a ResNet18 U-Net generator and a PatchGAN in plain PyTorch."""

import os

# Apple's GPUs lack a few operations (antialiased resizing in older PyTorch); these then run on the CPU. PyTorch reads
# this when it is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

__version__ = "0.1.0"
