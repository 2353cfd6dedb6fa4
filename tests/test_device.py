import pytest
import torch

from pix2pix.device import choose_device, choose_precision
from pix2pix.errors import UserError

CPU = torch.device("cpu")


def test_precision_is_refused_where_it_cannot_run():
    with pytest.raises(UserError, match="fp16 training needs a CUDA GPU"):
        choose_precision(CPU, "fp16")
    assert choose_precision(CPU, "auto").name in ("bf16", "fp32") and choose_precision(CPU, "auto").reason


def test_devices_that_are_not_there_are_refused():
    assert choose_device("cpu") == CPU
    for name in ("cuda:99", "toaster", "meta"):
        with pytest.raises(UserError, match=f"'{name}' is not there"):
            choose_device(name)
