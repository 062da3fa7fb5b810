"""Blocks that several of the light networks are made of."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[], nn.Module]


def relu() -> nn.Module:
    """Return a ReLU that writes over its input."""
    return nn.ReLU(inplace=True)


class MixedDown(nn.Module):
    """A 3×3 convolution with stride 2 beside max pooling, BatchNorm and an activation (ENet, Fig. 2a)."""

    def __init__(
        self, channels: int, width: int, activation: Activation = relu, bias: bool = True, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width - channels, 3, 2, 1, bias=bias)
        self.norm = nn.Sequential(nn.BatchNorm2d(width, eps), activation())

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H/2, W/2]."""
        both: Tensor = self.norm(torch.cat([self.conv(x), F.max_pool2d(x, 2)], dim=1))
        return both


def factorised(channels: int, kernel: int = 3, rate: int = 1, eps: float = 1e-5) -> nn.Sequential:
    """Return a k×1 convolution, ReLU, a 1×k convolution and BatchNorm (ERFNet, §III)."""
    reach = rate * (kernel // 2)
    column = nn.Conv2d(channels, channels, (kernel, 1), padding=(reach, 0), dilation=(rate, 1))
    row = nn.Conv2d(channels, channels, (1, kernel), padding=(0, reach), dilation=(1, rate))
    return nn.Sequential(column, relu(), row, nn.BatchNorm2d(channels, eps))


class Factorised(nn.Module):
    """ERFNet's non-bottleneck-1D: two factorised convolutions, the second atrous, and the input."""

    def __init__(
        self, channels: int, kernel: int = 3, rate: int = 1, dropout: float = 0.0, eps: float = 1e-5
    ) -> None:
        super().__init__()
        first, second = factorised(channels, kernel, 1, eps), factorised(channels, kernel, rate, eps)
        self.branch = nn.Sequential(first, relu(), second, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        return F.relu(self.branch(x) + x)


def doubling(channels: int, width: int, eps: float = 1e-5) -> nn.Sequential:
    """Return a transposed 3×3 convolution that doubles a map, BatchNorm and ReLU."""
    conv = nn.ConvTranspose2d(channels, width, 3, 2, 1, output_padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(width, eps), relu())


def norm_prelu(channels: int, eps: float = 1e-3) -> nn.Sequential:
    """Return BatchNorm and a PReLU with a slope for each channel."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps), nn.PReLU(channels))


def halved(image: Tensor, times: int) -> Tensor:
    """Return an image at half its size (rounded up), so many times: what later stages see of it again."""
    for _ in range(times):
        image = F.avg_pool2d(image, 3, 2, 1)
    return image


class DownAndOn(nn.Module):
    """A block that strides and blocks behind it; their outputs are concatenated (ESPNet, CGNet)."""

    def __init__(self, down: nn.Module, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.down, self.blocks = down, nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, 2 · width, H/2, W/2]."""
        x = self.down(x)
        return torch.cat([self.blocks(x), x], dim=1)
