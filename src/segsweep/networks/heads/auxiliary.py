"""Auxiliary losses as one mechanism: small classifiers on maps inside the network, in training only.

ATONet (abstract b, Fig. 2) brought the ground truth down to each map's size, and compared that with bringing
the map up to the ground truth. What is learned with these branches stays in the network when they are gone: a
network that predicts has none.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from segsweep.errors import OptionError
from segsweep.networks.blocks import conv_bn_relu
from segsweep.rules import AUX_TARGET, FEATURES_UP, LABELS_CASCADE, LABELS_DOWN

WIDTH = 128  # ATONet's branches: 64→64, 128→128, 256→128, 512→128, 128→128


class AuxiliaryOptions(TypedDict, total=False):
    """The options that every head has; their defaults are in conf/every_head.yaml.

    aux: the taps that carry a loss, counted from 1; none by default.
    aux_weights: one weight for all, or one for each entry of `aux`.
    aux_target: labels_down (ATONet), labels_cascade (likewise, each size from the one before, as in ATONet's
        released code) or features_up (the dagger row of its Table 4).
    """

    aux: Sequence[int]
    aux_weights: float | Sequence[float]
    aux_target: str


class Auxiliary(nn.Module):
    """A branch (3×3 conv-BN-ReLU, 1×1 to classes) on each chosen tap.

    Args:
        channels: channels of every tap, in the order in which `forward` is given their maps.
        num_classes: K.
        aux, aux_weights, aux_target: see AuxiliaryOptions.

    Raises:
        ConfigError: a tap index out of range, an invalid weight, an unknown target.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        aux: Sequence[int] | None = None,
        aux_weights: float | Sequence[float] = 1.0,
        aux_target: str = LABELS_DOWN,
    ) -> None:
        super().__init__()
        AUX_TARGET.check("aux_target", aux_target)
        self.taps = _check_taps(() if aux is None else aux, len(channels))
        self.upsampled, self.cascaded = aux_target == FEATURES_UP, aux_target == LABELS_CASCADE
        names = [f"aux{tap}" for tap in self.taps]
        self.weights = dict(zip(names, _check_weights(aux_weights, len(names)), strict=True))
        self.branches = nn.ModuleDict()
        for name, tap in zip(names, self.taps, strict=True):
            width = min(channels[tap - 1], WIDTH)
            conv = conv_bn_relu(channels[tap - 1], width, 3)
            self.branches[name] = nn.Sequential(conv, nn.Conv2d(width, num_classes, 1))

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps of all taps → {"aux3": logits [B, K, h, w] at the size of that map, …}."""
        branches = zip(self.branches.items(), self.taps, strict=True)
        return {name: branch(maps[tap - 1]) for (name, branch), tap in branches}


def _check_taps(aux: Sequence[int], taps: int) -> tuple[int, ...]:
    good = isinstance(aux, list | tuple) and all(type(a) is int and 1 <= a <= taps for a in aux)
    if not good or len(set(aux)) != len(aux):
        expected = f"a list of different taps from 1 (finest) to {taps}, such as [1,{taps}]"
        raise OptionError("aux", aux, expected)
    return tuple(aux)


def _check_weights(weights: float | Sequence[float], taps: int) -> list[float]:
    one = isinstance(weights, int | float)
    numbers: Sequence[float] = [weights] if isinstance(weights, int | float) else weights
    good = isinstance(numbers, list | tuple) and all(
        isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < math.inf for n in numbers
    )
    if not good or len(numbers) != (1 if one else taps):
        raise OptionError(
            "aux_weights", weights, f"a number from 0 up, or a list of {taps}, one for each tap"
        )
    return [float(weight) for weight in numbers] * (taps if one else 1)
