"""SwiftNet's ladder against torch's own operations, written out step by step."""

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, interpolate, relu

from segsweep.errors import ConfigError
from segsweep.networks.heads.swiftnet import SwiftNet

CHANNELS, REDUCTIONS = [3, 4, 6, 5], [2, 4, 8, 16]
WIDTHS = [9, 7, 5]


def convolved(part: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    conv, norm = part[0], part[1]
    x = conv2d(x, conv.weight, padding=conv.weight.shape[-1] // 2)
    return relu(batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))


def test_each_step_upsamples_adds_and_blends():
    torch.manual_seed(0)
    head = SwiftNet(CHANNELS, REDUCTIONS, 2, bins=(), widths=WIDTHS).eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    sizes = [(18, 26), (9, 13), (5, 7), (3, 4)]
    stem, at4, at8, at16 = (torch.randn(1, c, *s) for c, s in zip(CHANNELS, sizes, strict=True))
    x = convolved(head.spp, at16)
    assert x.shape == (1, 9, 3, 4)
    x = interpolate(x, size=(5, 7), mode="bilinear") + convolved(head.laterals[1], at8)
    x = convolved(head.blends[1], x)
    assert x.shape == (1, 7, 5, 7)
    x = interpolate(x, size=(9, 13), mode="bilinear") + convolved(head.laterals[0], at4)
    x = convolved(head.blends[0], x)
    assert x.shape == (1, 5, 9, 13)
    want = conv2d(x, head.classifier[1].weight, head.classifier[1].bias)
    torch.testing.assert_close(head([stem, at4, at8, at16]), want)


def test_one_width_is_that_of_all_maps():
    torch.manual_seed(0)
    one = SwiftNet(CHANNELS, REDUCTIONS, 2, width=8).state_dict()
    torch.manual_seed(0)
    other = SwiftNet(CHANNELS, REDUCTIONS, 2, widths=[8, 8, 8]).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("widths", [[8, 8], [8, 8, 8, 8], [], 8, "888", [8, 8, 0]])
def test_widths_are_one_for_each_stage(widths):
    with pytest.raises(ConfigError, match=r"^widths="):
        SwiftNet(CHANNELS, REDUCTIONS, 2, widths=widths)
