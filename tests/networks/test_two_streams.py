"""FRRN's unit and DFANet's aggregation against what they are to do, computed by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from segsweep.networks.whole.dfanet import DfaNet
from segsweep.networks.whole.frrn import FullResolutionUnit


@torch.no_grad()
def test_a_full_resolution_unit_adds_what_it_repeats_over_the_cells_that_it_pooled():
    """One channel in, and convolutions that pass a number on: the sums are left."""
    unit = FullResolutionUnit(1, 1, scale=2).eval()
    for parameter in unit.parameters():
        parameter.zero_()
    first, second = (layer for layer in unit.convs.modules() if isinstance(layer, nn.Conv2d))
    first.weight[0, 0, 1, 1] = first.weight[0, 1, 1, 1] = second.weight[0, 0, 1, 1] = 1
    for norm in (layer for layer in unit.convs.modules() if isinstance(layer, nn.BatchNorm2d)):
        norm.weight.fill_((1 + norm.eps) ** 0.5)
    unit.back.weight[3] = 10
    pooled, residual = torch.rand(1, 1, 2, 3), torch.rand(1, 32, 4, 6)
    x, z = unit(pooled, residual)
    maxima = residual[0, 0].numpy().reshape(2, 2, 3, 2).max(axis=(1, 3))
    expected = pooled[0, 0].numpy() + maxima
    np.testing.assert_allclose(x[0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(z[0, 3] - residual[0, 3], np.kron(10 * expected, np.ones((2, 2))), rtol=1e-4)
    assert torch.equal(z[0, 4:], residual[0, 4:])


@pytest.mark.parametrize(("variant", "widths"), [("a", (48, 96, 192)), ("b", (32, 64, 128))])
def test_each_stage_of_dfanet_halves_and_reads_the_same_stage_of_the_backbone_before(variant, widths):
    """Channels that are read, channels that are given, and the side of the map."""
    seen: list[tuple[int, int, int]] = []
    with torch.device("meta"):
        network = DfaNet(19, variant).eval()
        for backbone in network.backbones:
            for stage in backbone.stages:
                stage.register_forward_hook(
                    lambda module, before, after: seen.append(
                        (before[0].shape[1], after.shape[1], after.shape[-1])
                    )
                )
        assert network.logits(torch.empty(1, 3, 256, 256)).shape == (1, 19, 64, 64)
    fine, middle, coarse = widths
    first = [(8, fine, 64), (fine, middle, 32), (middle, coarse, 16)]
    into = (coarse + fine, fine + middle, middle + coarse)
    later = [
        [(c, w, size // 2**i) for i, (c, w) in enumerate(zip(into, widths, strict=True))] for size in (32, 16)
    ]
    assert seen == [*first, *later[0], *later[1]]
