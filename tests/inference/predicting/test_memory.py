"""How much memory a network's maps take, and windows that keep within it."""

import pytest
import torch
from torch import nn

from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.views import windows
from segsweep.inference.predicting.memory import bytes_per_pixel, windowed


def test_bytes_are_those_of_the_maps_that_live_at_once():
    """By hand, in floats a pixel: 3, 3+8, 8+8, 8+2/4; what is freed is not counted again."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 2, 1, 2, bias=False)
    )
    counted = bytes_per_pixel(lambda image: _in_turn(network, image), torch.device("cpu"))
    assert counted == pytest.approx(4 * (3 + 8 + 8), rel=0.01)  # the caller's image lives on


def test_a_network_that_torch_does_not_see_has_a_generous_guess():
    """A session of another runtime, between two arrays."""
    counted = bytes_per_pixel(lambda x: torch.from_numpy(x.numpy()[:, :2].copy()), torch.device("cpu"))
    assert counted == 512


def _in_turn(network, x):
    for layer in network:
        x = layer(x)
    return x


@pytest.mark.parametrize("size", [(2160, 3840), (3840, 2160), (1080, 1920), (700, 12000), (5000, 5000)])
@pytest.mark.parametrize("limit", [300 * 300, 1024**2, 2048**2])
def test_windows_fit_and_cover_the_image(size, limit):
    seen = windowed(Strategy(flip=True), size, limit)
    assert seen.flip
    if size[0] * size[1] <= limit:
        assert seen.window is None
        return
    height, width = seen.window
    assert height * width <= limit
    covered = torch.zeros(size, dtype=torch.bool)
    pixels = 0
    for rows, columns in windows(size, seen.window, seen.stride):
        covered[rows, columns] = True
        pixels += (rows.stop - rows.start) * (columns.stop - columns.start)
    assert covered.all()
    assert pixels <= 3 * size[0] * size[1]


def test_a_scaled_view_is_what_has_to_fit():
    assert windowed(Strategy(), (100, 100), 10_000).window is None
    assert windowed(Strategy(scales=[0.5, 2.0]), (400, 400), 200_000).window is not None
    assert windowed(Strategy(scales=[0.5]), (400, 400), 40_000).window is None
    assert windowed(Strategy(output_stride=8), (4000, 4000), 90_000).output_stride == 8
