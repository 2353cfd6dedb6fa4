"""Optimizers, learning rates, the moving average, and losses that stop being finite."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pix2pix.device import choose_precision
from pix2pix.errors import UserError
from pix2pix.recipes import RECIPES, Settings
from pix2pix.state import create_state, update_average
from pix2pix.unet import GeneratorConfig, UNetGenerator

CPU = torch.device("cpu")


def new_state(stage, **changes):
    recipe = replace(RECIPES["default"][stage], **changes)
    generator = UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8)))
    generator.init_weights()
    settings, precision = Settings(stage, recipe, 32, 0, 10), choose_precision(CPU, "fp32")
    return create_state(settings, generator, steps_per_epoch=10, device=CPU, precision=precision)


def test_the_learning_rates_course():
    """Up by half a cosine over a fifth of 100 steps, then down to nothing by another."""
    state = new_state("pretrain", epochs=10)
    optimizer, rates = state.optimizers["generator"], []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        state.schedulers["generator"].step()
    assert rates[0] == pytest.approx(0.04e-3) and max(rates) == pytest.approx(1e-3)
    top = rates.index(max(rates))
    assert 18 <= top <= 20 and rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[60] == pytest.approx(0.5e-3, rel=0.05) and 0 < rates[99] < 1e-6


def test_constant_rates_and_the_discriminators_own():
    state = new_state("gan")
    assert state.schedulers == {} and state.learning_rates() == {"generator": 1e-4, "discriminator": 4e-4}


def test_the_moving_average():
    ema, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(ema.weight), nn.init.ones_(network.weight)
    update_average(ema, network, decay=0.9, step=10_000)
    assert ema.weight.item() == pytest.approx(0.1)
    update_average(ema, network, decay=0.9, step=0)  # at the start the average follows fast
    assert ema.weight.item() == pytest.approx(0.1 + 0.9 * 0.9)


def test_the_average_takes_statistics_and_counters_along():
    ema, network = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    network(torch.randn(4, 2, 3, 3) + 5)
    update_average(ema, network, decay=0.5, step=10_000)
    assert torch.allclose(ema.running_mean, network.running_mean / 2) and ema.num_batches_tracked == 1


def test_the_first_loss_that_is_not_finite_is_named_with_its_step():
    state = new_state("gan")
    for values in ((1.0, 2.0), (3.0, float("inf")), (float("nan"), 2.0)):
        state.advance(dict(zip(("loss_a", "loss_b"), map(torch.tensor, values), strict=True)))
        if values == (1.0, 2.0):
            assert state.mean_losses() == {"loss_a": 1.0, "loss_b": 2.0}
    with pytest.raises(UserError, match=r"^loss_b stopped being finite at step 2 \(learning rate generator 0.0001, "):
        state.mean_losses()


def test_a_state_is_given_back():
    state, other = new_state("gan"), new_state("gan")
    with torch.no_grad():
        state.generator.head.conv.weight.add_(1)
    state.advance({"loss_D": torch.tensor(0.1)})
    state.random.manual_seed(7)
    other.load_state_dict(state.state_dict())
    assert torch.equal(other.generator.head.conv.weight, state.generator.head.conv.weight)
    assert (other.step, other.batch, other.sums) == (1, 1, state.sums)
    assert torch.equal(torch.rand(3, generator=other.random), torch.rand(3, generator=state.random))
