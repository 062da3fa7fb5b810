"""Parameter counts against the KSAC paper's Table 1 and against builds counted by hand."""

import pytest
import torch
from torch import nn

from segsweep.networks import Encoder, Segmenter
from segsweep.networks.heads.aspp import Aspp, AtrousPyramid
from segsweep.networks.heads.ksac import Ksac, SharedPyramid

# encoder, head, options, parameters in millions that a faithful VOC build has, and what the paper prints
TABLE_1 = [
    ("mobilenetv2_100", Aspp, {}, 4.52, 4.5),
    ("mobilenetv2_100", Ksac, {}, 2.92, 3.0),
    ("mobilenetv2_100", Ksac, {"fuse": "concat"}, 3.05, 3.0),
    ("xception65", Aspp, {"decoder": True}, 54.71, 54.3),
    ("xception65", Ksac, {"decoder": True}, 45.14, 44.8),
]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("encoder", "head", "options", "counted", "published"), TABLE_1)
def test_voc_networks_have_their_published_size(encoder, head, options, counted, published):
    with torch.device("meta"):
        body = Encoder(encoder)
        network = Segmenter(body, head(body.channels, body.reductions, 21, **options))
    millions = parameters(network) / 1e6
    assert millions == pytest.approx(counted, abs=0.005)
    assert millions == pytest.approx(published, rel=0.03)


def test_a_longer_rate_list_costs_no_convolution_parameters():
    def conv_parameters(rates):
        return sum(p.numel() for p in SharedPyramid(32, 16, rates, "sum").parameters() if p.dim() == 4)

    assert conv_parameters((6, 12, 18)) == conv_parameters((1, 6, 12, 18, 24))


def test_sharing_saves_62_percent_as_section_3_2_counts():
    """(27 + 2 − 9 − 2) / (27 + 2) products of C_in·C_out: branches and both 1×1 layers, projection aside."""
    channels, width = 320, 256

    def branches(pyramid):
        outside = sum(p.numel() for p in pyramid.project.parameters())
        norms = sum(p.numel() for p in pyramid.parameters() if p.dim() == 1) - sum(
            p.numel() for p in pyramid.project.parameters() if p.dim() == 1
        )
        return parameters(pyramid) - outside - norms

    aspp = branches(AtrousPyramid(channels, width, (6, 12, 18), separable=False))
    ksac = branches(SharedPyramid(channels, width, (6, 12, 18), "sum"))
    assert aspp == 29 * channels * width
    assert ksac == 11 * channels * width
    assert round(100 * (aspp - ksac) / aspp) == 62
