"""RefineNet (Lin et al., CVPR 2017, §3): a block for each stage refines the map of the coarser one."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import resize
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier, stages_from_4
from segsweep.rules import COUNT


def conv3x3(channels: int, width: int, bias: bool = False) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the map's size; there is no BatchNorm in RefineNet's own layers."""
    return nn.Conv2d(channels, width, 3, padding=1, bias=bias)


class ResidualUnit(nn.Module):
    """Residual convolution unit: twice ReLU and 3×3, added to the input (Fig. 3 (b))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.ReLU(), conv3x3(width, width, bias=True), nn.ReLU(inplace=True), conv3x3(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] → the same shape."""
        added: Tensor = x + self.convs(x)
        return added


class ChainedPooling(nn.Module):
    """Chained residual pooling: ReLU, then `pools` times 5×5 max pooling and 3×3, each added (Fig. 3 (d))."""

    def __init__(self, width: int, pools: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(5, stride=1, padding=2), conv3x3(width, width)) for _ in range(pools)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] → the same shape."""
        total = path = F.relu(x)
        for block in self.blocks:
            path = block(path)
            total = total + path
        return total


class Refine(nn.Module):
    """RefineNet's block: two residual units for each input, fusion at the finest size, pooling, a last unit.

    `widths` are the inputs' channels, the first being the stage's own map; the result has as many as that.
    """

    def __init__(self, widths: Sequence[int], pools: int) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(nn.Sequential(ResidualUnit(w), ResidualUnit(w)) for w in widths)
        fused = widths if len(widths) > 1 else ()
        self.fuse = nn.ModuleList(conv3x3(w, widths[0]) for w in fused)
        self.refine = nn.Sequential(ChainedPooling(widths[0], pools), ResidualUnit(widths[0]))

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps of `widths`, finest first → [B, widths[0], h, w] at the first one's size."""
        adapted = [units(x) for units, x in zip(self.adapt, maps, strict=True)]
        if self.fuse:
            adapted = [conv(x) for conv, x in zip(self.fuse, adapted, strict=True)]
        x, *coarser = adapted
        for other in coarser:
            x = x + resize(other, x.shape[-2:])
        refined: Tensor = self.refine(x)
        return refined


class RefineNet(Head):
    """Each stage brought to `width` channels, the coarsest to twice as many; a block each, coarse to fine;
    two last residual units, classifier.

    Args:
        width: channels of all stages but the coarsest.
        pools: pooling blocks in each chain; the paper shows two in its figure, and the 118 M parameters that
            Light-Weight RefineNet (Nekrasov et al., BMVC 2018) counts for ResNet-101 are those with four.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 256,
        pools: int = 4,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "refinenet")
        check_width(width)
        COUNT.check("pools", pools)
        widths = [*[width] * (len(self.stages) - 1), 2 * width]
        self.bring = nn.ModuleList(conv3x3(channels[i], w) for i, w in zip(self.stages, widths, strict=True))
        self.blocks = nn.ModuleList(Refine(widths[i : i + 2], pools) for i in range(len(widths)))
        self.last = nn.Sequential(ResidualUnit(widths[0]), ResidualUnit(widths[0]))
        self.classifier = pixel_classifier(widths[0], num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        maps = [bring(features[i]) for bring, i in zip(self.bring, self.stages, strict=True)]
        x = self.blocks[-1](maps[-1])
        for block, fine in zip(reversed(self.blocks[:-1]), reversed(maps[:-1]), strict=True):
            x = block(fine, x)
        logits: Tensor = self.classifier(self.last(x))
        return logits
