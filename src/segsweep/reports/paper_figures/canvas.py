"""What the figures have in common: grids of pictures, colours of classes, and files of equal bytes.

Letters: `H`, `W` a picture, `K` classes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from segsweep.data.labels import Palette, full_palette
from segsweep.errors import OptionError
from segsweep.files import write_bytes

KINDS = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Endings of the files that can be written, with what matplotlib would note in them of day and version."""
WIDTH = 7.0
"""Of a figure in inches: the two columns of a paper."""


def check_ending(out: Path) -> None:
    """Raise OptionError unless a file's ending says PNG, SVG or PDF."""
    if out.suffix.lower() not in KINDS:
        raise OptionError("out", str(out), "a file whose name ends in .png, .svg or .pdf")


@contextmanager
def style() -> Iterator[None]:
    """Draw alike everywhere, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {"font.size": 8, "svg.hashsalt": "segsweep", "savefig.dpi": 100, "pdf.fonttype": 42}
        )
        yield


def save(figure: Figure, out: Path) -> None:
    """Write a figure in the form that its file's ending says; equal figures give equal bytes.

    Raises:
        UserError: the file cannot be written.
    """
    check_ending(out)
    content = BytesIO()
    kind = out.suffix.lower()
    figure.savefig(content, format=kind[1:], metadata=KINDS[kind], bbox_inches="tight")
    write_bytes(out, content.getvalue(), "out=…")


def show(axes: Axes, picture: NDArray[Any], title: str = "", **options: Any) -> None:
    """Show a picture [H, W] or [H, W, 3] without a frame; pixels stay pixels."""
    axes.imshow(picture, **{"interpolation": "nearest", **options})
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=8, pad=3)


def coloured(label: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """Return a label map [H, W] in its classes' colours [H, W, 3]; 255 has VOC's colour of void."""
    return np.asarray(full_palette(palette)[label])


def picture_rows(
    rows: Sequence[Sequence[NDArray[Any]]], columns: Sequence[str], names: Sequence[str]
) -> Figure:
    """Return rows of pictures of one size each, with a heading for each column and a name for each row."""
    heights = [row[0].shape[0] / row[0].shape[1] for row in rows]
    side = WIDTH / len(columns)
    figure = Figure(figsize=(WIDTH, side * sum(heights) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for number, (row, pictures, name) in enumerate(zip(grid, rows, names, strict=True)):
        for axes, picture, title in zip(row, pictures, columns, strict=True):
            show(axes, picture, "" if number else title)
        row[0].text(
            -0.02, 0.5, name, transform=row[0].transAxes, rotation=90, ha="right", va="center", fontsize=6
        )
    return figure


def class_legend(figure: Figure, classes: Sequence[str], palette: Palette) -> None:
    """Add the classes' colours below a figure, 255 as void."""
    names = [*classes, "void"]
    colours = [*full_palette(palette)[: len(classes)], full_palette(palette)[255]]
    patches = [Patch(facecolor=colour / 255, label=name) for colour, name in zip(colours, names, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=6, frameon=False)


def montage(maps: NDArray[np.floating[Any]], columns: int) -> NDArray[np.float64]:
    """Return maps [n, h, w] side by side as one picture, each from 0 to its own largest value.

    Between them and in cells without one it is NaN, which is not drawn.
    """
    count, height, width = maps.shape
    rows, gap = -(-count // columns), 1
    found = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for index, one in enumerate(maps):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        low, high = min(0.0, float(one.min())), float(one.max())
        found[top : top + height, left : left + width] = (one - low) / ((high - low) or 1.0)
    return found
