"""The device and the precision to compute in, chosen once; train.py prints the reason."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from pix2pix.errors import UserError

PRECISIONS = ("auto", "bf16", "fp16", "fp32")


@dataclass(frozen=True)
class Precision:
    """`name` is bf16, fp16 or fp32; `reason` says why, for people to read."""

    name: str
    reason: str
    device_type: str

    def autocast(self) -> AbstractContextManager:
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        return torch.amp.autocast(self.device_type, dtype=dtype, enabled=self.name != "fp32")

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Scales the loss for fp16; does nothing for bf16 and fp32, so that the training loop needs no branch."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA, else MPS, else the CPU. Raises UserError if it is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError
        torch.empty(1, device=device).add_(1)
    except (RuntimeError, AssertionError, NotImplementedError, ModuleNotFoundError):
        raise UserError(f"the device {name!r} is not there; --device takes auto, cpu, cuda, cuda:N or mps") from None
    return device


def choose_precision(device: torch.device, requested: str = "auto") -> Precision:
    """The precision asked for. "auto" is bf16 where the device has bf16 units, fp16 on older GPUs, else fp32.

    Raises UserError for fp16 without a CUDA GPU.
    """
    if requested == "fp16" and device.type != "cuda":
        raise UserError(f"fp16 training needs a CUDA GPU and this is {device.type}; use --precision bf16 or fp32")
    if requested != "auto":
        return Precision(requested, "as asked", device.type)
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return Precision("bf16", "this GPU computes in bf16", device.type)
        return Precision("fp16", "this GPU has no bf16 units", device.type)
    if device.type == "cpu":
        if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
            return Precision("bf16", "this CPU computes in bf16", device.type)
        return Precision("fp32", "this CPU has no bf16 units (AMX or AVX512-BF16)", device.type)
    return Precision("fp32", f"mixed precision is not used on {device.type}", device.type)
