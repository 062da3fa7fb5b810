"""25 feature maps of each atrous rate, KSAC beside ASPP, on one image (KSAC, Fig. 5).

The maps are those after the rate's BatchNorm and ReLU. The paper does not say which 25 of the 256 it shows:
here it is those that vary most over the image, for each rate and head by the same rule. Each map is drawn
from 0 to its own largest value. C channels, h×w the encoder's coarsest map.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segsweep.reports.paper_figures.canvas import WIDTH, montage, show
from segsweep.reports.paper_figures.drawing import Wanted
from segsweep.reports.pictures.feature_maps import maps_by_rate
from segsweep.reports.pictures.trained_run import TrainedRun

RUNS = (Wanted("one run with head=ksac", ("Ksac",)), Wanted("one with head=aspp", ("Aspp",)))
IMAGES = 1
SIDE = 5
"""Maps in a row, and rows of maps."""


def draw(runs: Sequence[Sequence[TrainedRun]], images: Sequence[str]) -> Figure:
    """Return the image, and a row for each rate of either head."""
    heads = [one for some in runs for one in some]
    sample = heads[0].sample(images[0])
    maps = [maps_by_rate(one, sample.image) for one in heads]
    rates = sorted({rate for found in maps for rate in found})
    height, width = sample.image.shape[:2]
    side = WIDTH / len(heads) * height / width
    figure = Figure(figsize=(WIDTH, side * (len(rates) + 0.5) + 0.5), layout="constrained")
    grid = figure.subplots(len(rates) + 1, len(heads), squeeze=False, height_ratios=[0.5] + [1] * len(rates))
    show(grid[0][0], sample.image, sample.id)
    for axes in grid[0][1:]:
        axes.set_axis_off()
    for row, rate in zip(grid[1:], rates, strict=True):
        for axes, one, found in zip(row, heads, maps, strict=True):
            if rate in found:
                block = montage(most_varied(found[rate], SIDE * SIDE), SIDE)
                show(axes, block, f"{one.head}, rate {rate}", cmap="magma")
            else:
                axes.set_axis_off()
                axes.text(0.5, 0.5, f"{one.head} has no rate {rate}", ha="center", transform=axes.transAxes)
    return figure


def most_varied(maps: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return the maps [number, h, w] of [C, h, w] with the largest standard deviation, in channel order."""
    order = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:number]
    return maps[np.sort(order)]
