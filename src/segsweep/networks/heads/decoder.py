"""DeepLabV3+'s decoder, an option of the heads (the "Decoder" tick of KSAC Table 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.blocks import conv_bn_relu, resize


class Decoder(nn.Module):
    """Stride-4 feature to 48 channels, concatenated with the upsampled context, two 3×3 conv-BN-ReLU.

    DeepLabV3+ §3.1 and Table 1, 2 (48 channels, [3×3, 256] twice). Convolutions are plain: the KSAC
    paper's parameter counts (54.3 M and 44.8 M) come out with plain ones.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], width: int = 256) -> None:
        super().__init__()
        if 4 not in reductions:
            raise ConfigError(
                f"head.decoder=true needs a feature at stride 4; this backbone has {list(reductions)}: "
                "use head.decoder=false or another backbone"
            )
        self.level = list(reductions).index(4)
        self.reduce = conv_bn_relu(channels[self.level], 48)
        self.refine = nn.Sequential(conv_bn_relu(width + 48, width, 3), conv_bn_relu(width, width, 3))

    def forward(self, x: Tensor, features: list[Tensor]) -> Tensor:
        """Context [B, width, h, w] and the encoder's maps → [B, width, H / 4, W / 4]."""
        low = self.reduce(features[self.level])
        refined: Tensor = self.refine(torch.cat([resize(x, low.shape[-2:]), low], dim=1))
        return refined
