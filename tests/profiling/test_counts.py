"""Counts against formulas written out by hand."""

import pytest
import torch

from segsweep.config import groups as config_files
from segsweep.networks.heads.aspp import Aspp
from segsweep.networks.heads.ksac import Ksac
from segsweep.profiling import counts
from tests.profiling.networks import Given, small
from tests.support.composing import composed, configuration


def test_parameters_by_part():
    assert counts.parameters(small()) == {"encoder": 3 * 8 * 9, "head": 8 * 5 + 5, "auxiliary": 0}


def test_auxiliary_heads_are_a_part_of_their_own():
    network = small(auxiliary=True)
    parts = counts.parameters(network)
    assert parts == {"encoder": 216, "head": 45, "auxiliary": (8 * 8 * 9 + 2 * 8) + (8 * 5 + 5)}
    assert sum(parts.values()) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("auxiliary", [False, True])
def test_macs_of_an_inference(auxiliary):
    """At 10×6 the map is 3×2; auxiliary heads, upsampling and normalisation cost none."""
    assert counts.macs(small(auxiliary), (10, 6)) == 3 * 2 * (3 * 8 * 9 + 8 * 5)


@pytest.mark.parametrize(("head", "rates"), [(Aspp, (1, 2)), (Aspp, (1, 2, 3)), (Ksac, (1, 2, 3))])
def test_macs_of_a_pyramid(head, rates):
    """32 channels on 4×6 cells, width 16, 5 classes; a shared kernel is applied once for each rate."""
    cells, joined = 24, 2 + (len(rates) if head is Aspp else 1)
    pointwise, atrous, pooling = cells * 32 * 16, len(rates) * cells * 9 * 32 * 16, 32 * 16
    project, classifier = cells * joined * 16 * 16, cells * 16 * 5
    with torch.device("meta"):
        network = Given(head([32], [16], 5, rates=rates, width=16), (1, 32, 4, 6))
    expected = pointwise + atrous + pooling + project + classifier
    assert counts.macs(network, (64, 96)) == expected


@pytest.mark.skipif("atonet" not in config_files.choices("head"), reason="ATONet is not there yet")
def test_atonet_infers_without_its_auxiliary_heads():
    from segsweep.profiling.network import Network

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
