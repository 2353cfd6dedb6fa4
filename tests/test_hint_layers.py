import pytest
import torch

from pix2pix.hint_layers import HintLayers, hint_cells


@pytest.fixture
def layers():
    torch.manual_seed(0)
    layers = HintLayers((8, 8, 16, 16, 32), 4)
    layers.init_weights()
    return layers


def test_cells_hold_the_mean_of_their_hints_times_5_and_whether_they_have_any():
    torch.manual_seed(0)
    hints = torch.rand(2, 3, 64, 96) - 0.5
    hints[:, 2:] = (torch.rand(2, 1, 64, 96) < 0.01).float()  # ab beside the mask is not looked at
    cells = hint_cells(hints, 5)
    for number, planes in enumerate(cells):
        side = 2 ** (number + 1)
        assert planes.shape == (2, 3, 64 // side, 96 // side)
        for photo in range(2):
            for row in range(64 // side):
                for column in range(96 // side):
                    cell = hints[photo, :, row * side : (row + 1) * side, column * side : (column + 1) * side]
                    hinted = cell[:2, cell[2] == 1]
                    expected = torch.zeros(3)
                    if hinted.numel():
                        expected = torch.cat((5 * hinted.mean(1), torch.ones(1)))
                    assert torch.allclose(planes[photo, :, row, column], expected, atol=1e-5)
        if number < 2:
            break  # the smallest cells are the most
    assert hint_cells(hints, 5)[4][:, 2].any()


def test_no_hints_add_exactly_nothing(layers):
    added, to_decoder = layers(torch.zeros(2, 3, 64, 96))
    assert [tuple(x.shape) for x in added] == [
        (2, 8, 32, 48), (2, 8, 16, 24), (2, 16, 8, 12), (2, 16, 4, 6), (2, 32, 2, 3)
    ]  # fmt: skip
    assert to_decoder.shape == (2, 4, 32, 48)
    assert not any(x.any() for x in (*added, to_decoder))


def test_a_hint_reaches_every_scale_around_its_place(layers):
    hints = torch.zeros(1, 3, 128, 128)
    hints[0, :, 100, 20] = torch.tensor([0.3, 0.2, 1.0])
    added, to_decoder = layers(hints)
    for number, x in enumerate((*added, to_decoder)):
        side = 2 ** (min(number, 5) + 1) if number < 5 else 2
        touched = x.detach().abs().sum((0, 1)) > 0
        assert touched[100 // side, 20 // side] and touched.sum() <= 9


def test_first_weights_are_small_and_there_are_no_biases(layers):
    assert {name for name, _ in layers.named_parameters()} == {
        *(f"encoder.{number}.weight" for number in range(5)),
        "decoder.weight",
    }
    assert all(0.015 < value.std() < 0.025 for value in layers.parameters())


def test_in_bf16_hints_are_averaged_in_float32(layers):
    hints = torch.zeros(1, 3, 64, 64)
    hints[0, :, ::3, ::3] = torch.tensor([0.1, 0.1003, 1.0]).view(3, 1, 1)
    exact, _ = layers(hints)
    rounded, _ = layers.bfloat16()(hints)
    assert all(x.dtype == torch.bfloat16 for x in rounded)
    assert torch.allclose(rounded[4].float(), exact[4], atol=0.02)
