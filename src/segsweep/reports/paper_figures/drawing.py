"""What a figure of a paper is, how it is found by its name, and which runs and images it gets."""

import ast
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from segsweep.errors import ConfigError, OptionError, near
from segsweep.runs.folder import RunFolder
from segsweep.terminal import plural

if TYPE_CHECKING:  # torch and matplotlib take seconds to import, and help needs neither
    from matplotlib.figure import Figure

    from segsweep.reports.pictures.trained_run import TrainedRun

FOLDER = Path(__file__).parent


class Wanted(NamedTuple):
    """Runs that a figure needs: in words, by the classes of their heads (any if empty), and how many."""

    words: str
    heads: tuple[str, ...] = ()
    least: int = 1
    most: int | None = 1


class PaperFigure(Protocol):
    """A figure's file."""

    RUNS: tuple[Wanted, ...]
    IMAGES: int
    """Images that it shows unless some are chosen; 1 if it can show no more, 0 if none."""

    def draw(self, runs: Sequence[Sequence["TrainedRun"]], images: Sequence[str]) -> "Figure":
        """Return the figure of the runs, in the order of `RUNS`, and the ids or indices of images."""


def lines() -> dict[str, str]:
    """Return the first line of each figure's docstring by the figure's name."""
    return {
        f"{paper}.{number}": (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n")[0]
        for file in sorted(FOLDER.glob("*_fig*.py"))
        for paper, _, number in [file.stem.rpartition("_")]
    }


def find(name: str) -> PaperFigure:
    """Return a figure by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in lines():
        raise ConfigError(f"{name}: no such figure; {near(name, lines())}")
    return cast(PaperFigure, import_module(f"segsweep.reports.paper_figures.{name.replace('.', '_')}"))


def assigned(name: str, wanted: Sequence[Wanted], runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Return the runs for each entry of a figure's `RUNS`.

    Raises:
        ConfigError: there are too few or too many for one, or a run is of no use.
    """
    needs = f"{name} needs {' and '.join(one.words for one in wanted)}"
    remedy = "name runs by id or settings, such as 'head=aspp seed=0'; segsweep runs lists them"
    found: list[list[RunFolder]] = [[] for _ in wanted]
    for run in runs:
        head = str(run.plan.identity.get("head._target_", "")).rpartition(".")[2]
        fitting = [mine for mine, one in zip(found, wanted, strict=True) if head in (one.heads or (head,))]
        if not fitting:
            raise ConfigError(f"{needs}; run {run.id} has head={run.plan.choices['head']}: {remedy}")
        fitting[0].append(run)
    for mine, one in zip(found, wanted, strict=True):
        if not one.least <= len(mine) <= (one.most or len(mine)):
            ids = f" ({', '.join(run.id for run in mine)})" if mine else ""
            raise ConfigError(f"{needs}; found {plural(len(mine), 'run')}{ids} for {one.words}: {remedy}")
    return found


def check_images(figure: PaperFigure, asked: Sequence[str]) -> None:
    """Raise OptionError if a figure cannot show as many images as are asked for."""
    if len(asked) > figure.IMAGES and figure.IMAGES < 2:
        expected = "a single image" if figure.IMAGES else "none, as this figure shows no image"
        raise OptionError("image", ",".join(asked), expected)


def drawn(figure: PaperFigure, runs: Sequence[Sequence["TrainedRun"]], asked: Sequence[str] = ()) -> "Figure":
    """Return a figure of runs, of the images `asked` for or else of its own choice.

    Raises:
        UserError: the runs are of several datasets, or lack their checkpoint or data; an image is not there.
    """
    from segsweep.reports.pictures.trained_run import spread

    if not figure.IMAGES:
        return figure.draw(runs, ())
    every = [run for some in runs for run in some]
    names = dict.fromkeys(one.run.plan.choices["dataset"] for one in every)
    if len(names) > 1:
        raise ConfigError(f"the runs are of several datasets ({', '.join(names)}): give runs of one")
    for one in every:
        one.checkpoint  # noqa: B018 — the error of a missing one comes before any work
    return figure.draw(runs, asked or spread(every[0], figure.IMAGES))
