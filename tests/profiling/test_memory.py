"""Bytes of activations against sums written out by hand; floats have 4 bytes."""

import torch
from torch import nn

from segsweep.profiling.memory import peak_activations, saved_for_backward
from tests.profiling.networks import small

CELLS = 2 * 10 * 10 * 4  # bytes of one channel of two images of 10×10


class Chain(nn.Sequential):
    """Layers in a row, as a segmenter."""

    forward_train = nn.Sequential.forward


def chain(*layers):
    return Chain(*layers).to("meta")


def images(size=10):
    return torch.empty(2, 3, size, size, device="meta")


def layers(inplace):
    return nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(8, 4, 1)


def test_the_peak_of_an_inference():
    """The image is not counted; ReLU's input and output are alive together, unless it works in place."""
    assert peak_activations(chain(*layers(inplace=False)), images()) == (8 + 8) * CELLS
    assert peak_activations(chain(*layers(inplace=True)), images()) == (8 + 4) * CELLS


def test_views_hold_no_memory_of_their_own():
    views = nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (10, 10)))
    assert peak_activations(chain(nn.Conv2d(3, 8, 1), views, nn.Conv2d(8, 4, 1)), images()) == 12 * CELLS
    assert peak_activations(chain(views), images()) == 0


def test_a_branch_is_alive_until_it_is_joined():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, x):
            x = self.first(x)
            return torch.cat([x, self.second(x)], dim=1)

    assert peak_activations(Joined().to("meta"), images()) == (8 + 8 + 16) * CELLS


def test_what_training_keeps():
    """The first convolution keeps the image, ReLU and the last share ReLU's output."""
    assert saved_for_backward(chain(*layers(inplace=False)), images()) == (3 + 8) * CELLS
    assert saved_for_backward(chain(*layers(inplace=False)).half(), images().half()) == (3 + 8) * CELLS / 2


def test_a_segmenter_keeps_its_normalised_image_and_its_map():
    """The map is 3×3. An auxiliary branch keeps BatchNorm's input and statistics, and ReLU's output."""
    image, kept = images().to(torch.uint8), 3 * CELLS + 8 * 9 * 8
    assert saved_for_backward(small(), image) == kept
    assert saved_for_backward(small(auxiliary=True), image) == kept + 2 * 8 * 9 * 8 + 2 * 8 * 4


def test_the_figures_do_not_depend_on_the_device():
    there, here = small(), small(device="cpu")
    image = torch.zeros(1, 3, 12, 8, dtype=torch.uint8)
    assert peak_activations(there, image.to("meta")) == peak_activations(here, image)
    assert saved_for_backward(there, image.to("meta")) == saved_for_backward(here, image)
