"""Dilation in place of striding computes the same features, only at more places.

Where an encoder stops striding at output stride 8 instead of 16, it dilates what follows, and every second
value of its last map (each way) is one of the map at stride 16. That is what lets weights trained at one
output stride be tested at another.
"""

import pytest
import torch
from torch import nn

from segsweep.networks import Encoder

PLAIN = ["mobilenetv2_100", "resnet18", "resnet101", "xception65"]
WITH_GATES = ["mobilenetv3_small_100", "mobilenetv3_large_100"]


def last_maps(name, size, *, gates=True, strides=(8, 16), options=None):
    """The last map at each output stride, of one set of weights in evaluation mode."""
    torch.manual_seed(0)
    image = torch.randn(1, 3, *size)
    weights, maps = None, []
    for stride in strides:
        encoder = Encoder(name, output_stride=stride, options=options).double().eval()
        weights = weights or encoder.state_dict()
        encoder.load_state_dict(weights)
        if not gates:
            for block in encoder.body.modules():
                if hasattr(block, "se"):
                    block.se = nn.Identity()
        with torch.no_grad():
            maps.append(encoder(image.double())[-1])
    return maps


def agree(fine, coarse) -> bool:
    step = fine[..., ::2, ::2]
    return step.shape == coarse.shape and torch.allclose(step, coarse, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (50, 71)])
@pytest.mark.parametrize("name", PLAIN[:2])
def test_every_second_value_is_the_coarser_maps(name, size):
    """At any size: padding is alike on both sides, so that the grids start at the same pixel."""
    assert agree(*last_maps(name, size))
    assert agree(*last_maps(name, size, strides=(16, 32)))


@pytest.mark.parametrize("name", PLAIN[2:])
def test_large_encoders_too(name):
    assert agree(*last_maps(name, (33, 33)))


@pytest.mark.parametrize("name", WITH_GATES)
def test_squeeze_and_excitation_sees_other_means(name):
    """MobileNetV3's gates average over the whole map, whose values are four times as many at the finer
    stride: features differ by that, and by nothing else.
    """
    assert agree(*last_maps(name, (65, 97), gates=False))
    assert not agree(*last_maps(name, (65, 97)))


def test_tensorflow_padding_shifts_the_grid_at_even_sizes():
    """With `pad_type: same` an even map is padded at its right and lower side only where it strides. Sizes
    like 513 (a multiple of the stride, and one) are aligned all the same, which is why DeepLab crops so.
    """
    options = {"pad_type": "same"}
    assert agree(*last_maps("mobilenetv2_100", (65, 97), options=options))
    assert not agree(*last_maps("mobilenetv2_100", (64, 96), options=options))
