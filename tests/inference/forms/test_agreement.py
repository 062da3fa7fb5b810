"""Rounding is told from a mistake: by float64."""

import pytest
import torch
from torch import nn

from segsweep.errors import UserError
from segsweep.inference.forms import agreement
from segsweep.inference.forms.recording import same_padding


class Rough(nn.Module):
    """Rounds to multiples of 1024 by a detour over 10¹⁰, of 4096 over 5·10¹⁰; a shift rounds otherwise."""

    stride = 32

    def __init__(self, shift, factor=1, detour=1e10):
        super().__init__()
        self.shift, self.factor, self.detour = shift, factor, detour

    def forward(self, images):
        return self.factor * (1e4 * images + self.shift + self.detour - self.detour - self.shift)


def test_a_difference_that_torchs_own_rounding_has_is_none():
    found = agreement.check(Rough(0), Rough(300), [], "onnx")
    assert found.difference is not None
    assert found.difference > 255e4 * agreement.DIFFERENCE
    assert found.equal == 1


def test_nothing_is_said_of_logits_that_a_file_of_labels_does_not_give():
    network = Rough(0)
    assert "logits differ by 0.0e+00 at most, labels" in str(agreement.check(network, network, [], "onnx"))
    found = str(agreement.check(network, lambda image: network(image).argmax(1), [], "onnx"))
    assert "logits" not in found
    assert found.endswith(": labels are equal for 100.000% at least")


def test_a_larger_one_is_a_mistake():
    with pytest.raises(UserError, match="logits differ by"):
        agreement.check(Rough(0), Rough(300, 1.002), [], "onnx")


def test_four_times_torchs_rounding_is_a_mistake_too():
    with pytest.raises(UserError, match="logits differ by"):
        agreement.check(Rough(0), Rough(0, detour=5e10), [], "onnx")


@pytest.mark.parametrize(
    ("kernel", "stride", "rate"), [(3, 2, 1), (2, 1, 2), (1, 2, 1), (5, 2, 1), (2, 4, 1)]
)
def test_padding_is_tensorflows_same(kernel, stride, rate):
    """The least that gives ⌈side / stride⌉ cells (tf.nn's notes on padding)."""
    for side in range(1, 30):
        cells = -(-side // stride)
        padded = same_padding(side, kernel, stride, rate)
        assert padded == max(0, (cells - 1) * stride + rate * (kernel - 1) + 1 - side)
        width = max(side + padded, rate * (kernel - 1) + 1)
        layer = nn.functional.max_pool1d(torch.zeros(1, 1, width), kernel, stride, dilation=rate)
        assert layer.shape[-1] == cells
