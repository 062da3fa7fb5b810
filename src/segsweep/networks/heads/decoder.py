"""DeepLabV3+'s decoder, an option of the heads (the "Decoder" tick of KSAC Table 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.networks.blocks import conv_block, conv_bn_relu, resize
from segsweep.networks.heads.features import level


class Decoder(nn.Module):
    """Stride-4 feature to 48 channels, concatenated with the upsampled context, 3×3 conv-BN-ReLU.

    DeepLabV3+ §3.1 and Table 1, 2 (48 channels, [3×3, 256] twice). The KSAC paper's parameter counts
    (54.3 M and 44.8 M) come out with plain convolutions, Dual ASPP's (41.05 M, 2.72 M) with separable ones.

    Args:
        width: channels of the context and of the result.
        depth: number of 3×3 convolutions.
        option: the option that asks for it, for the error.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        width: int = 256,
        separable: bool = False,
        depth: int = 2,
        option: str = "decoder",
    ) -> None:
        super().__init__()
        way_out = f"use head.{option}=false or another backbone"
        self.level = level(reductions, 4, f"head.{option}=true", way_out)
        self.reduce = conv_bn_relu(channels[self.level], 48)
        self.refine = conv_block(width + 48, width, depth, separable)

    def forward(self, x: Tensor, features: list[Tensor]) -> Tensor:
        """Context [B, width, h, w] and the encoder's maps → [B, width, H / 4, W / 4]."""
        low = self.reduce(features[self.level])
        refined: Tensor = self.refine(torch.cat([resize(x, low.shape[-2:]), low], dim=1))
        return refined
