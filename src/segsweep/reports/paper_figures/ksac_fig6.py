"""Image, truth, and what ASPP and KSAC predict, a row an image (KSAC, Fig. 6).

The paper's images are chosen by hand; without `image=` these are four, evenly spread over the test list.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from segsweep.reports.paper_figures.canvas import class_legend, coloured, picture_rows
from segsweep.reports.paper_figures.drawing import Wanted
from segsweep.reports.pictures.trained_run import TrainedRun

RUNS = (Wanted("one run with head=aspp", ("Aspp",)), Wanted("one with head=ksac", ("Ksac",)))
IMAGES = 4


def draw(runs: Sequence[Sequence[TrainedRun]], images: Sequence[str]) -> Figure:
    """Return a row for each image: itself, its truth, and the prediction of each run."""
    heads = [one for some in runs for one in some]
    samples = [heads[0].sample(image) for image in images]
    palette = heads[0].dataset.palette
    rows = [
        [
            sample.image,
            *(coloured(m, palette) for m in (sample.label, *(h.predict(sample.image) for h in heads))),
        ]
        for sample in samples
    ]
    figure = picture_rows(rows, ["image", "truth", *(one.head for one in heads)], [one.id for one in samples])
    class_legend(figure, heads[0].dataset.classes, palette)
    return figure
