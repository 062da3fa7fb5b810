"""Options that every head has, checked where they become layers: torch's own words name no option."""

from torch import nn

from segsweep.errors import ConfigError


def check_width(width: int, option: str = "width") -> int:
    """A number of channels.

    Raises:
        ConfigError: not a whole number from 1 up.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ConfigError(f"head.{option}={width}: expected a number of channels, at least 1")
    return width


def pixel_classifier(width: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Dropout and a 1×1 convolution with bias: [B, width, h, w] → [B, K, h, w].

    Raises:
        ConfigError: a probability outside [0, 1).
    """
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigError(f"head.dropout={dropout}: expected a probability from 0 to below 1")
    return nn.Sequential(nn.Dropout(dropout), nn.Conv2d(width, num_classes, 1))
