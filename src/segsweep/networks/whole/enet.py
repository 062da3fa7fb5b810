"""ENet (Paszke, Chaurasia, Kim and Culurciello, arXiv:1606.02147)."""

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.light_blocks import Activation, MixedDown, relu
from segsweep.networks.whole.unpooling import pool, unpool
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import DROPOUT

CONTEXT = (
    ("regular", 1), ("dilated", 2), ("asymmetric", 5), ("dilated", 4),
    ("regular", 1), ("dilated", 8), ("asymmetric", 5), ("dilated", 16),
)  # fmt: skip
"""The bottlenecks of Table 1's sections 2 and 3: the kind, and the atrous rate or the kernel's length."""


class ENet(WholeNetwork):
    """Table 1: an initial block, an encoder of two stages to 1/8, and a small decoder that unpools.

    The encoder has PReLUs of one slope each, the decoder ReLUs (§4). Logits are at the image's size. Taps of
    auxiliary losses: the encoder's stages at 1/4 and 1/8.

    Args:
        num_classes: K.
        dropout: of whole maps, at the end of each bottleneck; a tenth of it in the first stage (§4).
    """

    stride = multiple = 8
    own_channels = (64, 128)

    def __init__(self, num_classes: int, dropout: float = 0.1) -> None:
        super().__init__(num_classes)
        DROPOUT.check("dropout", dropout)
        self.initial = MixedDown(3, 16, nn.PReLU, bias=False)
        self.down1 = Down(16, 64, dropout / 10)
        self.stage1 = nn.Sequential(*(bottleneck(64, dropout / 10, nn.PReLU) for _ in range(4)))
        self.down2 = Down(64, 128, dropout)
        self.stage2 = nn.Sequential(*(bottleneck(128, dropout, nn.PReLU, *one) for one in 2 * CONTEXT))
        self.up2 = Up(128, 64, dropout)
        self.stage4 = nn.Sequential(*(bottleneck(64, dropout) for _ in range(2)))
        self.up1 = Up(64, 16, dropout)
        self.stage5 = bottleneck(16, dropout)
        self.classifier = nn.ConvTranspose2d(16, num_classes, 3, 2, 1, output_padding=1, bias=False)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        fine, fine_places = self.down1(self.initial(x))
        fine = self.stage1(fine)
        coarse, coarse_places = self.down2(fine)
        coarse = self.stage2(coarse)
        x = self.stage4(self.up2(coarse, coarse_places))
        logits: Tensor = self.classifier(self.stage5(self.up1(x, fine_places)))
        return (logits, (fine, coarse)) if self.training else logits


class Bottleneck(nn.Module):
    """A branch of convolutions with dropout, added to its input or to another shortcut (Fig. 2b)."""

    def __init__(self, branch: nn.Sequential, dropout: float, activation: Activation) -> None:
        super().__init__()
        self.branch, self.dropout, self.activation = branch, nn.Dropout2d(dropout), activation()

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """[B, C, H, W] → a map like the shortcut, which is x by default."""
        added: Tensor = self.activation(self.dropout(self.branch(x)) + (x if shortcut is None else shortcut))
        return added


class Down(nn.Module):
    """A bottleneck with stride 2; its shortcut is max-pooled, and padded with channels of zeros."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.more = width - channels
        inner = channels // 4
        first = nn.Conv2d(channels, inner, 2, 2, bias=False)
        branch = _branch(first, [nn.Conv2d(inner, inner, 3, padding=1, bias=False)], width, nn.PReLU)
        self.bottleneck = Bottleneck(branch, dropout, nn.PReLU)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, H, W] → [B, width, H/2, W/2], and the places of the maxima."""
        maxima, places = pool(x)
        return self.bottleneck(x, F.pad(maxima, (0, 0, 0, 0, 0, self.more))), places


class Up(nn.Module):
    """A bottleneck that doubles the map by a transposed convolution; its shortcut is unpooled."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        inner = channels // 4
        self.project = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        first = nn.Conv2d(channels, inner, 1, bias=False)
        double = nn.ConvTranspose2d(inner, inner, 3, 2, 1, output_padding=1, bias=False)
        self.bottleneck = Bottleneck(_branch(first, [double], width, relu), dropout, relu)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """[B, channels, h, w] → [B, width, 2h, 2w]."""
        doubled: Tensor = self.bottleneck(x, unpool(self.project(x), places))
        return doubled


def bottleneck(
    channels: int, dropout: float, activation: Activation = relu, kind: str = "regular", number: int = 1
) -> Bottleneck:
    """Return a bottleneck that keeps the map; `number` is the atrous rate or the length of a kernel."""
    inner, half = channels // 4, number // 2
    if kind == "asymmetric":
        column = nn.Conv2d(inner, inner, (number, 1), padding=(half, 0), bias=False)
        middle = [column, nn.Conv2d(inner, inner, (1, number), padding=(0, half), bias=False)]
    else:
        middle = [nn.Conv2d(inner, inner, 3, padding=number, dilation=number, bias=False)]
    branch = _branch(nn.Conv2d(channels, inner, 1, bias=False), middle, channels, activation)
    return Bottleneck(branch, dropout, activation)


def _branch(
    first: nn.Conv2d, middle: list[nn.Conv2d] | list[nn.ConvTranspose2d], width: int, activation: Activation
) -> nn.Sequential:
    """BatchNorm and an activation follow each convolution."""
    convs = [first, *middle, nn.Conv2d(first.out_channels, width, 1, bias=False)]
    return nn.Sequential(
        *(layer for conv in convs for layer in (conv, nn.BatchNorm2d(conv.out_channels), activation()))
    )
