"""Output heat maps of the classes, DeepLabV3+'s head above Dual ASPP's (Dual ASPP, Fig. 4).

An encoder stands beside another. The maps are the last layer's, the logits of each class at the head's own
stride, each drawn from its lowest to its highest value.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from segsweep.errors import ConfigError
from segsweep.reports.paper_figures.canvas import WIDTH, show
from segsweep.reports.paper_figures.drawing import Wanted
from segsweep.reports.pictures.feature_maps import logits
from segsweep.reports.pictures.trained_run import TrainedRun

RUNS = (
    Wanted("one run with head=deeplabv3plus (or aspp) an encoder", ("Aspp",), most=None),
    Wanted("one with head=dual_aspp", ("DualAspp",), most=None),
)
IMAGES = 1


def draw(runs: Sequence[Sequence[TrainedRun]], images: Sequence[str]) -> Figure:
    """Return a column for each encoder: the maps of its DeepLabV3+ above those of its Dual ASPP."""
    pairs = by_encoder(runs)
    first = runs[0][0]
    sample = first.sample(images[0])
    height, width = sample.image.shape[:2]
    columns = ceil(sqrt(first.dataset.num_classes))
    rows = ceil(first.dataset.num_classes / columns)
    cell = WIDTH / len(pairs) / columns * height / width
    figure = Figure(figsize=(WIDTH, 2 * rows * (cell + 0.15) + 0.4), layout="constrained")
    blocks = figure.subfigures(2, len(pairs), squeeze=False)
    for column, (encoder, pair) in zip(blocks.T, pairs.items(), strict=True):
        for block, one in zip(column, pair, strict=True):
            block.suptitle(f"{encoder} {one.head}", fontsize=8)
            grid: NDArray[Any] = block.subplots(rows, columns, squeeze=False)
            maps = logits(one, sample.image)
            for axes in grid.flat:
                axes.set_axis_off()
            for axes, name, scores in zip(grid.flat, first.dataset.classes, maps, strict=False):
                show(axes, scores, cmap="turbo")
                axes.set_title(name, fontsize=6, pad=1)
    return figure


def by_encoder(runs: Sequence[Sequence[TrainedRun]]) -> dict[str, list[TrainedRun]]:
    """Return the run with either head for each encoder.

    Raises:
        ConfigError: an encoder has not exactly one of each.
    """
    names = dict.fromkeys(one.run.plan.choices["backbone"] for some in runs for one in some)
    pairs = {
        name: [[one for one in some if one.run.plan.choices["backbone"] == name] for some in runs]
        for name in names
    }
    for name, found in pairs.items():
        if [len(some) for some in found] != [1, 1]:
            counts = f"{len(found[0])} and {len(found[1])}"
            raise ConfigError(
                f"dual_aspp.fig4: backbone={name} has {counts} runs with DeepLabV3+'s head and Dual ASPP; "
                "expected one of each: leave others out, or train what is missing"
            )
    return {name: [some[0] for some in found] for name, found in pairs.items()}
