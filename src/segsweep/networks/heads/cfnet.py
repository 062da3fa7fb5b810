"""CFNet (Zhang et al., CVPR 2019): features of places that occur together with each pixel's own.

Shape letters: `B` images, `C` channels, `M` mixtures, `N` = h·w pixels of the map, `P` places to look at.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import ImagePooling, conv_bn_relu, pooled_conv
from segsweep.networks.heads.base import PyramidHead, check_width
from segsweep.rules import COUNT


class CoOccurrence(nn.Module):
    """Aggregated co-occurrent features: Σ_p P(p | pixel, image)·v_p.

    P mixes M softmaxes over places of q_m·k_m, since one alone is of low rank; how much each counts depends
    on the image's mean feature, the context. Places are the map averaged over 2×2 pixels.
    """

    def __init__(self, channels: int, width: int, mixtures: int) -> None:
        super().__init__()
        self.mixtures, self.inner = mixtures, -(-width // (2 * mixtures))
        self.query, self.key = (nn.Conv2d(channels, mixtures * self.inner, 1, bias=False) for _ in range(2))
        self.value = pooled_conv(channels, width)
        self.prior = nn.Linear(channels, mixtures, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        places = F.avg_pool2d(x, 2, ceil_mode=True)
        query, key = self._split(self.query(x)), self._split(self.key(places))  # B × M × N or P × inner
        likely = (query @ key.transpose(2, 3) * self.inner**-0.5).softmax(dim=3)  # B × M × N × P
        prior = self.prior(x.mean(dim=(2, 3))).softmax(dim=1)[..., None, None]
        mixed = (prior * likely).sum(dim=1)  # B × N × P
        found: Tensor = mixed @ self.value(places).flatten(2).transpose(1, 2)
        return found.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[-2:])

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.mixtures, self.inner, -1).transpose(2, 3)


class CfNet(PyramidHead):
    """3×3 to `inner` channels; that map, its co-occurrent features and its mean concatenated; 1×1 to `width`.

    A reading of ours: the paper's text gives no sizes, nor how the three are joined.

    Args:
        inner: channels of the map that pixels are compared in.
        mixtures: M.
        decoder: DeepLabV3+'s decoder, which CFNet has not.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        inner: int = 512,
        mixtures: int = 4,
        width: int = 512,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        check_width(inner, "inner")
        check_width(width)
        context = _Context(channels[-1], inner, width, COUNT.check("mixtures", mixtures))
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout,
        )  # fmt: skip


class _Context(nn.Module):
    def __init__(self, channels: int, inner: int, width: int, mixtures: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels, inner, 3)
        self.together = CoOccurrence(inner, inner, mixtures)
        self.whole = ImagePooling(inner, inner)
        self.project = conv_bn_relu(3 * inner, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        joined: Tensor = self.project(torch.cat([x, self.together(x), self.whole(x)], dim=1))
        return joined
