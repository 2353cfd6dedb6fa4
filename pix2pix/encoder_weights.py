"""First weights for the encoder: torchvision's ImageNet weights, or a file in their layout."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import torch

from pix2pix.errors import UserError
from pix2pix.unet import ResNet18Encoder


def load_encoder_weights(encoder: ResNet18Encoder, source: str) -> None:
    """Fill the encoder from `source`: "imagenet" (torchvision's download), a file in its layout, or "none".

    Every name but `fc.*` has to match. Raises UserError when the download or the file cannot be used.
    """
    if source == "none":
        return
    if source == "imagenet":
        from torchvision.models import ResNet18_Weights

        try:
            state = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"cannot download torchvision's ResNet18 weights ({error}); give a local file with --encoder FILE, "
                "or start from random weights with --encoder none"
            ) from error
    else:
        try:
            state = torch.load(Path(source), map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"no encoder weights at {source}; --encoder takes imagenet, none or a file") from None
        except Exception as error:  # a damaged file makes the unpickler raise almost anything
            raise UserError(f"{source} holds no ResNet18 weights that can be read; is it a .pth file?") from error
    try:
        encoder.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UserError(f"the weights of {source} are not those of torchvision's resnet18") from error
