"""BiSeNet (Yu, Wang, Peng, Gao, Yu and Sang, ECCV 2018, arXiv:1808.00897)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.errors import OptionError
from segsweep.networks.blocks import ImagePooling, PooledBatchNorm, conv_bn_relu, resize
from segsweep.networks.encoder import Encoder
from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.networks.whole.xception39 import Xception39

WIDTH = 128
"""Channels of both paths."""
XCEPTION39 = "xception39"


class BiSeNet(WholeNetwork):
    """A spatial path of three strided convolutions beside a context path that strides quickly, fused at 1/8.

    Logits are at 1/8. Taps of auxiliary losses: the two that the paper supervises, what comes of the context
    path at 1/8 and at 1/16 (§3.4).

    Args:
        num_classes: K.
        encoder: of the context path: xception39 (BiSeNet1), resnet18 (BiSeNet2), or any other timm model
            with maps at 1/8, 1/16 and 1/32.
        pretrained, weights: ImageNet's weights of a timm model, as in `Encoder`.

    Raises:
        ConfigError: an unknown encoder, one without these maps, or weights for xception39.
    """

    stride = 32
    own_channels = (WIDTH, WIDTH)

    def __init__(
        self,
        num_classes: int,
        encoder: str = XCEPTION39,
        pretrained: bool = False,
        weights: str | None = None,
    ) -> None:
        if encoder == XCEPTION39:
            _check_no_weights(pretrained, weights)
            super().__init__(num_classes)
            self.context, channels = Xception39(), list(Xception39.channels)
        else:
            made = _timm_encoder(encoder, pretrained, weights)
            super().__init__(num_classes, made.mean, made.std)
            self.encoder, channels = made, made.channels
        *_, middle, coarse = channels
        self.spatial = SpatialPath()
        self.pooling = ImagePooling(coarse, WIDTH)
        self.steps = nn.ModuleList(Step(c) for c in (coarse, middle))
        self.fusion = Fusion(2 * WIDTH)
        self.classifier = nn.Sequential(conv_bn_relu(2 * WIDTH, 64, 3), nn.Conv2d(64, num_classes, 1))

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H/8, W/8]."""
        *_, fine, middle, coarse = (self.encoder or self.context)(x)
        at_16, at_8 = self.steps
        rough = at_16(coarse, self.pooling(coarse), middle.shape[-2:])
        context = at_8(middle, rough, fine.shape[-2:])
        logits: Tensor = self.classifier(self.fusion(self.spatial(x), context))
        return (logits, (context, rough)) if self.training else logits


def _check_no_weights(pretrained: bool, weights: str | None) -> None:
    """There is no public file of them."""
    for option, value in (("pretrained", pretrained), ("weights", weights)):
        if value:
            problem = f"there are no ImageNet weights for encoder={XCEPTION39}"
            raise OptionError(option, value, problem=problem, remedy="leave it out, or use encoder=resnet18")


def _timm_encoder(name: str, pretrained: bool, weights: str | None) -> Encoder:
    try:
        made = Encoder(name, 32, pretrained, weights)
    except OptionError as error:
        error.option = "encoder" if error.option == "name" else error.option
        raise
    if made.reductions[-3:] != [8, 16, 32] or made.multiple != 1:
        problem = f"{name} does not give maps at 1/8, 1/16 and 1/32 for images of any size"
        raise OptionError("encoder", name, problem=problem, remedy=f"use {XCEPTION39} or resnet18")
    return made


class SpatialPath(nn.Sequential):
    """Three convolutions with stride 2 that keep the image's detail, and a 1×1 (§3.1).

    The paper says so much of them: their kernels and widths (7×7 and 3×3 of 64 channels) and the 1×1 to the
    width of the context path are those of the authors' published code.
    """

    def __init__(self) -> None:
        strided = ((3, 7), (64, 3), (64, 3))
        convs = (conv_bn_relu(c, 64, kernel, stride=2) for c, kernel in strided)
        super().__init__(*convs, conv_bn_relu(64, WIDTH))


class Attention(nn.Module):
    """Attention refinement: a 3×3 convolution whose channels its global average weighs (Fig. 2b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, WIDTH, 3)
        conv = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.weigh = nn.Sequential(conv, PooledBatchNorm(WIDTH), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, WIDTH, H, W]."""
        x = self.conv(x)
        weighed: Tensor = x * self.weigh(x.mean(dim=(2, 3), keepdim=True))
        return weighed


class Step(nn.Module):
    """A stage of the encoder weighed, what deeper ones know added, and both brought to a finer size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention, self.refine = Attention(channels), conv_bn_relu(WIDTH, WIDTH, 3)

    def forward(self, features: Tensor, context: Tensor, size: Sequence[int]) -> Tensor:
        """[B, channels, h, w] and [B, WIDTH, h, w] → [B, WIDTH, *size]."""
        refined: Tensor = self.refine(resize(self.attention(features) + context, size))
        return refined


class Fusion(nn.Module):
    """Feature fusion: both paths joined, and added to it what its global average picks (Fig. 2c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = conv_bn_relu(width, width)
        first, second = (nn.Conv2d(width, width, 1, bias=False) for _ in range(2))
        self.weigh = nn.Sequential(first, nn.ReLU(inplace=True), second, nn.Sigmoid())

    def forward(self, *paths: Tensor) -> Tensor:
        """Maps of `width` channels together → [B, width, H, W]."""
        x = self.join(torch.cat(paths, dim=1))
        fused: Tensor = x + x * self.weigh(x.mean(dim=(2, 3), keepdim=True))
        return fused
