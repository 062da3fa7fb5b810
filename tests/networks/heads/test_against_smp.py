"""PSPNet, UPerNet and DeepLabV3 against segmentation-models-pytorch, its weights copied across.

Its PSPNet has no 3×3 convolution, no BatchNorm at the 1×1 grid and corners aligned; the module of that name
in its UPerNet is the paper's. Its DeepLabV3 adds a 3×3 convolution behind the pyramid, which the paper has
not, and its DeepLabV3+ one between pyramid and decoder: their pyramids are the paper's.
"""

import pytest
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP
from segmentation_models_pytorch.decoders.upernet.decoder import PSPModule
from torch import nn

from segsweep.networks import Encoder
from segsweep.networks.heads.aspp import Aspp
from segsweep.networks.heads.psp import Psp
from segsweep.networks.heads.upernet import UperNet

SIZES = [(5, 7), (12, 8), (3, 3)]


def drawn(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, nothing in it at its neutral value."""
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.dim() == 1:
            value.uniform_(0.5, 1.5) if "var" in name or "weight" in name else value.normal_()
    return module.eval()


def copy(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy all tensors; both have them in the same order."""
    values = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(values))


@pytest.mark.parametrize("size", SIZES)
def test_pspnet(size):
    theirs = drawn(nn.Sequential(PSPModule(32, 8), nn.Dropout(), nn.Conv2d(8, 3, 1)))
    ours = Psp([32], [8], 3, width=8).eval()
    copy(theirs, ours)
    x = torch.randn(2, 32, *size)
    torch.testing.assert_close(ours([x]), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (128, 160)])
def test_upernet_with_its_encoder(size):
    theirs = drawn(smp.UPerNet("resnet18", encoder_weights=None, decoder_channels=16, classes=3))
    encoder = Encoder("resnet18", output_stride=32).eval()
    encoder.body.load_state_dict(theirs.encoder.state_dict())
    head = UperNet(encoder.channels, encoder.reductions, 3, width=16, norm=True).eval()
    decoder = theirs.decoder
    for one, other in [
        (decoder.feature_norms, head.norms),
        (decoder.psp, head.pyramid),
        (nn.ModuleList(reversed(decoder.fpn_lateral_blocks)), head.lateral),
        (nn.ModuleList(reversed(decoder.fpn_conv_blocks)), head.smooth),
        (decoder.fusion_block, head.fuse),
        (theirs.segmentation_head, head.classifier),
    ]:
        copy(one, other)
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        want = theirs.segmentation_head[0](decoder(theirs.encoder(image)))
        torch.testing.assert_close(head(encoder(image)), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("output_stride", "rates"), [(16, (6, 12, 18)), (8, (12, 24, 36))])
def test_deeplabv3(size, output_stride, rates):
    aspp = ASPP(32, 8, rates, separable=False, dropout=0.5)
    theirs = drawn(nn.Sequential(aspp, nn.Conv2d(8, 3, 1)))
    ours = Aspp([32], [output_stride], 3, width=8).eval()
    copy(theirs, ours)
    x = torch.randn(2, 32, *size)
    torch.testing.assert_close(ours([x]), theirs(x), rtol=1e-5, atol=1e-5)
