"""DeepLab's first two versions (Chen et al., TPAMI 2018, §3.1–3.2): atrous classifiers, summed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.networks.heads.base import Head, HeadOutput, check_width, rates_at
from segsweep.rules import DROPOUT


class DeeplabV2(Head):
    """A classifier with an atrous 3×3 kernel for each rate on the last map; their logits are added.

    On ResNet-101 the released networks classify with that kernel itself; on VGG-16 each branch has two hidden
    layers, fc6 (the 3×3) and fc7 (1×1), of 1024 channels (Fig. 7). Version 1, DeepLab-LargeFOV, is one
    branch. The maps' convolutions have biases and no BatchNorm, as theirs.

    Args:
        rates: atrous rates, as many as you like, for output strides 16 and 32 as in the other heads. At 8,
            where the paper's networks run, they double: these are its ASPP-L, which says 6, 12, 18, 24.
        width: channels of fc6 and fc7; None for the classifier alone.
        dropout: before each layer but a branch's 3×3, or before that if it is the only one.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        rates: Sequence[int] = (3, 6, 9, 12),
        width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        DROPOUT.check("dropout", dropout)
        self.branches = nn.ModuleList(
            _alone(channels[-1], num_classes, rate, dropout)
            if width is None
            else _with_hidden_layers(channels[-1], check_width(width), num_classes, rate, dropout)
            for rate in rates_at(rates, reductions[-1])
        )

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at the encoder's output stride."""
        return torch.stack([branch(features[-1]) for branch in self.branches]).sum(dim=0)


def _alone(channels: int, num_classes: int, rate: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), _atrous(channels, num_classes, rate))


def _with_hidden_layers(
    channels: int, width: int, num_classes: int, rate: int, dropout: float
) -> nn.Sequential:
    fc6, fc7 = _atrous(channels, width, rate), nn.Conv2d(width, width, 1)
    hidden = (layer for fc in (fc6, fc7) for layer in (fc, nn.ReLU(inplace=True), nn.Dropout(dropout)))
    return nn.Sequential(*hidden, nn.Conv2d(width, num_classes, 1))


def _atrous(channels: int, out_channels: int, rate: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, padding=rate, dilation=rate)
