"""Counts and bytes of activations against formulas and sums written out by hand; floats have 4 bytes."""

import pytest
import torch
from torch import nn

from segsweep.config import groups as config_files
from segsweep.networks.heads.aspp import Aspp
from segsweep.networks.heads.ksac import Ksac
from segsweep.profiling.network import Network
from segsweep.profiling.size import macs, parameters, peak_activations, saved_for_backward
from tests.profiling.networks import Given, small
from tests.support.composing import composed, configuration

CELLS = 2 * 10 * 10 * 4  # bytes of one channel of two images of 10×10


def test_parameters_by_part():
    assert parameters(small()) == {"encoder": 3 * 8 * 9, "head": 8 * 5 + 5, "auxiliary": 0}


def test_auxiliary_heads_are_a_part_of_their_own():
    network = small(auxiliary=True)
    parts = parameters(network)
    assert parts == {"encoder": 216, "head": 45, "auxiliary": (8 * 8 * 9 + 2 * 8) + (8 * 5 + 5)}
    assert sum(parts.values()) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("auxiliary", [False, True])
def test_macs_of_an_inference(auxiliary):
    """At 10×6 the map is 3×2; auxiliary heads, upsampling and normalisation cost none."""
    assert macs(small(auxiliary), (10, 6)) == 3 * 2 * (3 * 8 * 9 + 8 * 5)


@pytest.mark.parametrize(("head", "rates"), [(Aspp, (1, 2)), (Aspp, (1, 2, 3)), (Ksac, (1, 2, 3))])
def test_macs_of_a_pyramid(head, rates):
    """32 channels on 4×6 cells, width 16, 5 classes; a shared kernel is applied once for each rate."""
    cells, joined = 24, 2 + (len(rates) if head is Aspp else 1)
    pointwise, atrous, pooling = cells * 32 * 16, len(rates) * cells * 9 * 32 * 16, 32 * 16
    project, classifier = cells * joined * 16 * 16, cells * 16 * 5
    with torch.device("meta"):
        network = Given(head([32], [16], 5, rates=rates, width=16), (1, 32, 4, 6))
    expected = pointwise + atrous + pooling + project + classifier
    assert macs(network, (64, 96)) == expected


@pytest.mark.skipif("atonet" not in config_files.choices("head"), reason="ATONet is not there yet")
def test_atonet_infers_without_its_auxiliary_heads():
    with configuration():
        members = [
            composed("backbone=resnet18", "head=atonet", f"head.aux={aux}") for aux in ("[]", "[3,4,5]")
        ]
    without, with_aux = (Network.of(m, (64, 128)).figures(1, torch.float32) for m in members)
    for column in ("params_m", "encoder_m", "head_m", "gmacs", "activations_mib"):
        assert without[column] == with_aux[column]
    assert without["auxiliary_m"] == 0
    assert with_aux["auxiliary_m"] > 0.5
    assert with_aux["saved_mib"] > without["saved_mib"]


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
