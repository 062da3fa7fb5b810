"""Options that every head has, checked where they become layers: torch's own words name no option."""

from torch import nn

from segsweep.rules import CHANNELS, DROPOUT


def check_width(width: int, option: str = "width") -> int:
    """A number of channels.

    Raises:
        ConfigError: not a whole number from 1 up.
    """
    return CHANNELS.check(f"head.{option}", width)


def pixel_classifier(width: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Dropout and a 1×1 convolution with bias: [B, width, h, w] → [B, K, h, w].

    Raises:
        ConfigError: a probability outside [0, 1).
    """
    return nn.Sequential(nn.Dropout(DROPOUT.check("head.dropout", dropout)), nn.Conv2d(width, num_classes, 1))
