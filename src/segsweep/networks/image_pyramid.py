"""An encoder on an image pyramid: the same weights see the image, its half, its quarter and so on.

What they make of the smaller images is interleaved with the maps of the whole one: maps of the same stride
are joined, as SwiftNet's pyramid does (Oršić et al., CVPR 2019, §3). To a head it is one list of maps that
goes on to coarser strides, so that every head can stand on it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsweep.networks.blocks import resize

STAGES_FROM = 4
"""A smaller image gives its maps from this stride on: stems are no stages."""
Place = tuple[int, int]
"""Level of the pyramid (0: the whole image) and index of the encoder's map there."""


class Interleaving:
    """Which maps of the levels are joined.

    Args:
        channels, reductions: those of the encoder's maps of a single image.
        levels: images of the pyramid, each with half the sides of the one before.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], levels: int) -> None:
        joined = [(reduction, [(0, index)]) for index, reduction in enumerate(reductions)]
        for level in range(1, levels):
            deepest = dict(joined)  # of several maps of a stride, as in a dilated encoder, the last
            for index, reduction in enumerate(reductions):
                own, place = reduction * 2**level, (level, index)
                if reduction >= STAGES_FROM and own in deepest:
                    deepest[own].append(place)
                elif reduction >= STAGES_FROM:
                    joined.append((own, [place]))
        joined.sort(key=lambda one: one[0])
        self.reductions = [reduction for reduction, _ in joined]
        self.places: list[list[Place]] = [places for _, places in joined]
        self.channels = [sum(channels[index] for _, index in places) for places in self.places]

    def __call__(self, levels: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Maps of each level, finest first → maps [B, channels[i], H / reductions[i], W / reductions[i]]."""
        return [_joined([levels[level][index] for level, index in places]) for places in self.places]


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """Concatenate maps of one stride; those of a model that does not pad may differ by a cell."""
    size = maps[0].shape[-2:]
    return torch.cat([resize(one, size) for one in maps], dim=1) if len(maps) > 1 else maps[0]
