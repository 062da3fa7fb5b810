"""EncNet (Zhang et al., CVPR 2018, §3): channels weighted by what the whole image looks like.

Shape letters: `B` images, `C` channels, `D` codewords, `N` = h·w pixels of the map, `K` classes.
"""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn_relu
from segsweep.networks.heads.auxiliary import AuxiliaryOptions
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier
from segsweep.rules import COUNT, FROM_0

PRESENCE = "presence"
"""The name of the class-presence loss."""


class Encoding(nn.Module):
    """The residuals of all pixels to each codeword, summed with soft assignment (eq. 1 and 2).

    e_d = Σ_n a_nd·(x_n − c_d), with a_nd the softmax over d of −s_d·‖x_n − c_d‖². The smoothing factors s_d
    are learned, as the codewords c_d are; the −1 is part of them here.
    """

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        bound = (channels * codewords) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-bound, bound))
        self.smoothing = nn.Parameter(torch.empty(codewords).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, D, C]."""
        pixels = x.flatten(2).transpose(1, 2)  # B × N × C
        squares = pixels.square().sum(dim=2, keepdim=True) + self.codewords.square().sum(dim=1)
        distances = squares - 2 * (pixels @ self.codewords.T)  # B × N × D
        shares = (self.smoothing * distances).softmax(dim=2)
        return shares.transpose(1, 2) @ pixels - shares.sum(dim=1)[..., None] * self.codewords


class EncNet(Head):
    """3×3 to `width` channels; their encoding weights each channel (§3.1); relu(x + γ·x), classifier.

    In training the encoding also predicts which classes an image has, the paper's semantic encoding loss
    (§3.2): binary cross-entropy, times `presence_weight`, beside the auxiliary losses of every head.

    Args:
        codewords: D.
        presence_weight: of the class-presence loss; 0 leaves it out.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 512,
        codewords: int = 32,
        presence_weight: float = 0.2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_width(width)
        self.presence_weight = FROM_0.check("presence_weight", presence_weight)
        self.reduce = conv_bn_relu(channels[-1], width, 3)
        self.encode = nn.Sequential(
            conv_bn_relu(width, width), Encoding(width, COUNT.check("codewords", codewords)),
            nn.BatchNorm1d(codewords), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.attention = nn.Linear(width, width)
        self.presence: nn.Linear | None = None
        self.classifier = pixel_classifier(width, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at the encoder's output stride; in training with logits [B, K] of classes present."""
        x = self.reduce(features[-1])
        encoded = self.encode(x).mean(dim=1)  # B × C
        weights = self.attention(encoded).sigmoid()[..., None, None]
        logits: Tensor = self.classifier(F.relu(x + weights * x))
        if self.presence is None or not self.training:
            return logits
        return logits, [self.presence(encoded)]

    def add_auxiliary(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        **options: Unpack[AuxiliaryOptions],
    ) -> None:
        """Put auxiliary losses on the encoder's stages, and the class-presence loss on the encoding."""
        if self.presence_weight:  # drawn first, to be the same with and without other losses
            self.presence = nn.Linear(self.attention.in_features, num_classes)
        super().add_auxiliary(channels, reductions, num_classes, **options)

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weights of the auxiliary losses and of the class-presence loss."""
        own = {} if self.presence is None else {PRESENCE: self.presence_weight}
        return {**super().auxiliary_weights, **own}

    def auxiliary_logits(self, features: Sequence[Tensor], own: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the logits of the auxiliary branches, and those [B, K] of the image's classes."""
        presence = dict(zip([PRESENCE], own, strict=False))
        return {**super().auxiliary_logits(features, ()), **presence}
