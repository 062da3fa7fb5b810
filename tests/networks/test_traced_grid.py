"""The recorded form of grid pooling against torch's adaptive pooling and interpolation."""

import pytest
import torch
from torch import nn

from segsweep.networks.blocks import resize
from segsweep.networks.heads.atonet import grid
from segsweep.networks.separable_maps import grid_average
from segsweep.networks.traced_grid import pooled_and_resized, pooled_and_resized_squarely

SIZES = [(1, 1), (1, 9), (7, 2), (4, 6), (5, 7), (8, 8), (13, 29), (45, 60), (33, 500)]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_adaptive_pooling_and_resizing(rows, size, align_corners):
    torch.manual_seed(0)
    x, conv = torch.randn(2, 3, *size, dtype=torch.float64), nn.Conv2d(3, 4, 1).double()
    expected = resize(conv(grid_average(x, grid(rows, size))), size, align_corners)
    torch.testing.assert_close(pooled_and_resized(x, rows, conv, align_corners), expected)


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("size", SIZES)
def test_with_a_square_grid_too(bins, size):
    """Also if it is finer than the map."""
    torch.manual_seed(0)
    x, conv = torch.randn(2, 3, *size, dtype=torch.float64), nn.Conv2d(3, 4, 1).double()
    expected = resize(conv(grid_average(x, (bins, bins))), size)
    torch.testing.assert_close(pooled_and_resized_squarely(x, bins, conv), expected)


def test_its_grid_is_rounded_as_pythons_for_every_ratio():
    """Halves go to the even number: 2 rows of 4×5 make 2.5 columns."""
    for height in range(1, 24):
        for width in range(1, 24):
            x = torch.randn(1, 1, height, width, dtype=torch.float64)
            expected = resize(grid_average(x, grid(2, (height, width))), (height, width))
            torch.testing.assert_close(pooled_and_resized(x, 2, nn.Identity()), expected)
