"""Whole networks against pytorchcv's, with weights copied across: equal counts, equal outputs.

Where the two designs differ, the oracle is given the paper's, as said beside it.
"""

from collections.abc import Callable

import pytest
import torch
from pytorchcv.model_provider import get_model
from pytorchcv.models.resnet import ResUnit
from pytorchcv.models.senet import SEInitBlock
from torch import nn

from segsweep.builders import build_segmenter
from segsweep.networks.blocks import resize
from segsweep.networks.whole.espnet import EspEncoder
from tests.support.composing import member

CLASSES = 19


def as_it_is(oracle: nn.Module) -> None:
    """The same design."""


def pool_2x2(oracle: nn.Module) -> None:
    """ENet pools windows that do not overlap; the oracle's shortcuts pool 3×3 windows that do."""
    for module in oracle.modules():
        if hasattr(module, "ext_channels"):
            module.pool = nn.MaxPool2d(2, 2, return_indices=True)


def no_elu_at_the_end(oracle: nn.Module) -> None:
    """SQNet's logits are what its last transposed convolution gives; the oracle bounds them below."""
    oracle.head.deconv.activ = nn.Identity()


ORACLES: dict[str, tuple[str, int, Callable[[nn.Module], None]]] = {
    "cgnet": ("cgnet_cityscapes", 496_306, as_it_is),
    "enet": ("enet_cityscapes", 358_060, pool_2x2),
    "erfnet": ("erfnet_cityscapes", 2_064_191, as_it_is),
    "esnet": ("esnet_cityscapes", 1_660_607, as_it_is),
    "segnet": ("segnet_cityscapes", 29_453_971, as_it_is),
    "sqnet": ("sqnet_cityscapes", 16_262_771, no_elu_at_the_end),
}


def oracle_of(name: str, **options: object) -> nn.Module:
    """An oracle in evaluation mode, with weights and statistics at random."""
    torch.manual_seed(0)
    return randomised(get_model(name, pretrained=False, **options))


def randomised(oracle: nn.Module) -> nn.Module:
    """Draw the statistics of its BatchNorms."""
    for module in oracle.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return oracle.eval()


def copy(oracle: nn.Module, ours: nn.Module) -> None:
    """Copy all tensors by their order, which follows the data through both networks."""
    own = {key: value for key, value in ours.state_dict().items() if key not in ("mean", "std")}
    theirs = list(oracle.state_dict().values())
    assert [value.shape for value in own.values()] == [value.shape for value in theirs]
    ours.load_state_dict(dict(zip(own, theirs, strict=True)), strict=False)


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ORACLES)
def test_outputs_are_the_oracles(name):
    named, count, change = ORACLES[name]
    oracle = oracle_of(named)
    change(oracle)
    ours = build_segmenter(member(f"network={name}", f"num_classes={CLASSES}").config).eval()
    copy(oracle, ours)
    assert sum(p.numel() for p in ours.parameters()) == count
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        check(resize(ours.maps(image), image.shape[-2:]), oracle(image))


def test_espnets_encoder_is_the_oracles():
    """The oracle has ESPNet-C alone, without the decoder, with 5 and 3 blocks."""
    oracle, ours = oracle_of("espcnet_cityscapes"), EspEncoder(5, 3).eval()
    copy(oracle.features, ours)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        check(ours(image)[-1], oracle.features(image, image))


def test_bisenets_context_path_and_fusion_are_the_oracles():
    """The oracle takes the encoder's map at 1/8 for its spatial path, upsamples by nearest, weighs what is
    fused through fewer channels, and has a wider classifier.
    """
    oracle = oracle_of("bisenet_resnet18_celebamaskhq", aux=False, fixed_size=False)
    for step in (oracle.pool.pool16, oracle.pool.pool8):
        step.up = nn.Upsample(scale_factor=2, mode="bilinear")
    ours = build_segmenter(
        member("network=bisenet", "network.encoder=resnet18", "num_classes=19").config
    ).eval()
    ours.spatial = nn.Identity()
    ours.fusion.weigh[0], ours.fusion.weigh[2] = oracle.pool.fusion.conv1, oracle.pool.fusion.conv2
    ours.classifier = oracle.head_z8
    copy(oracle, ours)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        at_8, at_16, at_32 = oracle.backbone(image)
        ours.spatial.register_forward_hook(lambda module, args, output: at_8)
        for found, expected in zip(ours.encoder(image)[-3:], (at_8, at_16, at_32), strict=True):
            check(found, expected)
        fused, *_ = oracle.pool(at_8, at_16, at_32)
        check(ours.maps(image), oracle.head_z8(fused))


def residual(channels: int, width: int, number: int, rate: int, stride: int = 1) -> list[nn.Module]:
    """A stage of PSPNet's ResNet-50: its 1×1 convolution strides, its 3×3 ones are atrous."""
    inputs = (channels, *[width] * (number - 1))
    atrous = {"padding": rate, "dilation": rate, "conv1_stride": True}
    return [ResUnit(c, width, stride if i == 0 else 1, **atrous) for i, c in enumerate(inputs)]


def test_icnets_encoder_is_made_of_the_oracles_blocks():
    """PSPNet's ResNet-50 of half the channels; the oracle has no network of this width."""
    third = residual(128, 256, 4, 1, stride=2)
    shared = nn.Sequential(SEInitBlock(3, 64), *residual(64, 128, 3, 1), third[0])
    deep = nn.Sequential(*third[1:], *residual(256, 512, 6, 2), *residual(512, 1024, 3, 4))
    oracle = randomised(nn.ModuleList((shared, deep)))
    ours = build_segmenter(member("network=icnet", f"num_classes={CLASSES}").config).eval()
    copy(oracle, nn.ModuleList((ours.shared, ours.deep)))
    image = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        middle = shared(image)
        check(ours.shared(image), middle)
        check(ours.deep(middle), deep(middle))


def test_icnets_cascade_is_the_oracles():
    """The oracle has another, wider encoder, aligns corners, and its classifier has no bias."""
    oracle = oracle_of("icnet_resnetd50b_cityscapes", fixed_size=False).final_block
    for module in oracle.modules():
        if hasattr(module, "align_corners"):
            module.align_corners = False
    for fusion in (oracle.cff_24, oracle.cff_12):
        fusion.conv_cls = nn.Identity()  # of its auxiliary losses
    oracle.conv_cls = nn.Conv2d(128, CLASSES, 1)
    ours = build_segmenter(member("network=icnet", f"num_classes={CLASSES}").config).eval()
    copy(
        nn.ModuleList((oracle.cff_24, oracle.cff_12, oracle.conv_cls)),
        nn.ModuleList((*ours.cascade, ours.classifier)),
    )
    coarse, middle, fine = (torch.randn(1, c, n, 2 * n) for c, n in ((256, 2), (256, 4), (64, 8)))
    with torch.no_grad():
        _, expected, *_ = oracle(fine, middle, coarse)
        check(ours.fuse(coarse, middle, fine, (16, 32)), expected)
