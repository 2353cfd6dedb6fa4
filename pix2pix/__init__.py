"""Colour black-and-white photos: a ResNet18 U-Net generator and a PatchGAN in plain PyTorch."""

__version__ = "0.1.0"
