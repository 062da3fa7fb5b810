"""Accuracy against speed: published systems of all tables, measured runs among them (ATONet, Fig. 3).

Published figures are those of experiments/*/table*.yaml that have mIoU and frames a second, as their papers
print them, each on its own GPU and at its own input size. Measured ones are the mIoU of a run's test named
single, with a bar of ± one standard deviation over seeds, and the frames a second of its network at the size
of the test images, timed here, in this process. The machine stands in the legend: speeds of different
machines do not compare, so look at who is ahead of whom on one machine.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox

from segsweep.config import groups as config_files
from segsweep.execution import trust
from segsweep.planning.experiment import Published, published_table
from segsweep.profiling import latency
from segsweep.reports.paper_figures.canvas import WIDTH
from segsweep.reports.paper_figures.drawing import Wanted
from segsweep.reports.pictures.trained_run import TrainedRun
from segsweep.runs import compare
from segsweep.runs.contents import Card

log = logging.getLogger("segsweep")

RUNS = (Wanted("any number of runs tested with test=[single]", least=0, most=None),)
IMAGES = 0
TEST, SEED = "single", "seed"
MIOU = ("miou", "val_miou", "test_miou")
MARKERS = "osD^vP"
OURS = "#d55e00"
PANELS = ("Cityscapes", "CamVid")
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
LETTER = (0.0075, 0.027)
GAP = 0.005
"""About the width and height of a letter of a name, and the space around one, as shares of a panel."""


@dataclass(frozen=True)
class Point:
    """A system: its name, where its figures are from, the data, frames a second, mIoU in % over seeds."""

    name: str
    source: str
    data: str
    fps: float
    mious: tuple[float, ...]
    measured: bool = False


def draw(runs: Sequence[Sequence[TrainedRun]], images: Sequence[str]) -> Figure:
    """Return a panel for each dataset of the published systems and the runs."""
    points = [*published(), *measured(runs[0])]
    panels: dict[str, list[Point]] = {}
    for point in points:
        panels.setdefault(dataset_of(point.data), []).append(point)
    figure = Figure(figsize=(WIDTH, 3.6 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False)
    for axes, (name, some) in zip(grid[:, 0], panels.items(), strict=True):
        _panel(axes, name, some)
    return figure


def published() -> Iterator[Point]:
    """Yield the systems of the papers' tables that have an accuracy and a speed, each table's in turn."""
    nodes = map(published_table, sorted(dict(config_files.files("experiments"))))
    # A table's variations repeat it.
    for node in {node["title"]: node for node in nodes if node is not None}.values():
        table = Published.of(node)
        for row in table.rows:
            miou = next((float(row[key]) for key in MIOU if key in row), None)
            if miou is None or "fps" not in row:
                continue
            words = str(row.get("method", row.get("architecture", ""))).replace("_", " ")
            yield Point(words, f"{table.title} ({table.data})", table.data, float(row["fps"]), (miou,))


def dataset_of(data: str) -> str:
    """Return the dataset of a panel: `Cityscapes` for `Cityscapes val`, `CamVid` for `camvid720`."""
    word = data.split()[0].rstrip("0123456789")
    return next((name for name in PANELS if name.lower() == word.lower()), word)


def measured(runs: Sequence[TrainedRun]) -> list[Point]:
    """Return the runs' systems, one for the seeds of a configuration, with their networks timed in turn."""
    folders = [one.run for one in runs]
    axes = [axis for axis in compare.axes(folders) if axis != SEED]
    groups: dict[tuple[str, ...], list[tuple[TrainedRun, float, Card]]] = {}
    untested: list[str] = []
    for one in runs:
        figures, card = one.run.read_tests().get(TEST, (None, None))
        if figures is None or card is None or figures.miou is None:
            untested.append(one.run.id)
            continue
        # The dataset is part of the key even where it does not differ: a panel is of one.
        key = (card.dataset, *compare.describe(one.run, axes).values())
        groups.setdefault(key, []).append((one, 100 * figures.miou, card))
    if untested:
        log.warning(f"left out, without a test {TEST}: {', '.join(untested)}; segsweep test makes it")
    for one, *_ in (some[0] for some in groups.values()):
        trust.check(one.run, one.config)
    firsts = [(some[0][0].config, size_of(some[0][2])) for some in groups.values()]
    milliseconds, how = latency.of_images(firsts) if firsts else ([], "")
    found = []
    for (data, *words), some, ms in zip(groups, groups.values(), milliseconds, strict=True):
        name = " ".join(word for word in words if word not in (compare.MISSING, data))
        height, width = size_of(some[0][2])
        source = f"measured here ({data} {some[0][2].split} at {width}×{height}; {how})"
        mious = tuple(miou for _, miou, _ in some)
        found.append(Point(name or some[0][0].head, source, data, 1000 / ms, mious, measured=True))
    return found


def size_of(card: Card) -> tuple[int, int]:
    """Return (height, width) of a test's images; of several sizes, the first that its card names."""
    sizes = card.image_sizes if isinstance(card.image_sizes, str) else card.image_sizes[0]
    width, height = sizes.replace("–", " ").split()[0].split("x")
    return int(height), int(width)


def _panel(axes: Axes, name: str, points: Sequence[Point]) -> None:
    sources = list(dict.fromkeys(point.source for point in points))
    for number, source in enumerate(sources):
        some = [point for point in points if point.source == source]
        fps, means = [point.fps for point in some], [float(np.mean(point.mious)) for point in some]
        spread = [float(np.std(p.mious, ddof=1)) if len(p.mious) > 1 else 0.0 for p in some]
        ours = some[0].measured
        axes.errorbar(
            fps, means, yerr=spread if ours else None, linestyle="", label=source, capsize=2,
            marker="*" if ours else MARKERS[number % len(MARKERS)], markersize=9 if ours else 4,
            color=OURS if ours else f"C{number}", zorder=3 if ours else 2,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set(title=name, xlabel="frames a second", ylabel="mIoU (%)", xticks=TICKS)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    fastest, slowest = max(point.fps for point in points), min(point.fps for point in points)
    axes.set_xlim(slowest / 1.6, fastest * 2)
    axes.set_ylim(*axes.get_ylim())  # as now, for the names' places
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False)
    _label(axes, points)


def _label(axes: Axes, points: Sequence[Point]) -> None:
    """Write each point's name beside it, on the first of four sides where no other name is yet."""
    place = axes.transScale + axes.transLimits
    taken: list[Bbox] = []
    for point in sorted(points, key=lambda point: -point.fps):
        x, y = place.transform((point.fps, float(np.mean(point.mious))))
        width, height = LETTER[0] * len(point.name), LETTER[1]
        boxes = [
            Bbox.from_bounds(
                x - (width if right else 0), y - (height if below else -GAP), width, height - GAP
            )
            for below in (False, True)
            for right in (False, True)
        ]
        clear = [n for n, box in enumerate(boxes) if not box.count_overlaps(taken)]
        side = clear[0] if clear else 0
        taken.append(boxes[side])
        axes.annotate(
            point.name, (point.fps, float(np.mean(point.mious))), fontsize=5.5,
            xytext=(-4 if side % 2 else 4, -7 if side > 1 else 2), textcoords="offset points",
            ha="right" if side % 2 else "left",
            color=OURS if point.measured else "black",
        )  # fmt: skip
