"""`segsweep figure`: the papers' figures from trained runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.runs.choice import queried
from segsweep.errors import ConfigError
from segsweep.reports.paper_figures import drawing
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import TRUST

if TYPE_CHECKING:  # torch takes seconds to import, and help does not need it
    from segsweep.reports.pictures.trained_run import TrainedRun

HELP = """usage: segsweep figure NAME [RUN ...] [key=value ...]

Draw a figure of a paper from trained runs. RUN is a run's id, its beginning, or settings that choose runs as
in segsweep runs: 'head=aspp seed=0'.

figures
{figures}

options
  out=NAME.png       file to write: PNG, SVG or PDF by its ending
  image=ID,ID        images by id, or by place in the test list from 0; default: the first of the list, or
                     four that are spread over it if the figure has a row for each image
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  test=[single]      strategy of the predictions
  split, data_dir, checkpoint.test, trainer.accelerator, trust: as in segsweep test ID

examples
  segsweep figure ksac.fig5 head=ksac head=aspp out=maps.pdf
  segsweep figure ksac.fig6 3f9c2a 'head=ksac head.rates=[6,12,18] seed=0' image=Seq05VD_f00450
  segsweep figure atonet.fig3 sweep=NAME out=speed.svg
"""
DEFAULTS = {"out": None, "image": None, "runs_dir": RUNS_DIR}


def main(arguments: Sequence[str]) -> int:
    """Draw the figure that the arguments name, print its file's name and return the exit status."""
    if not arguments or "=" in arguments[0]:
        raise ConfigError(f"figure: its name comes first; known: {', '.join(drawing.lines())}")
    name, *others = arguments
    own, others = split(others, DEFAULTS)
    asked = parse(own, DEFAULTS)
    out, images = Path(asked["out"] or f"{name}.png"), asked["image"].split(",") if asked["image"] else []
    figure = drawing.find(name)
    drawing.check_images(figure, images)
    queries = [argument for argument in others if not _is_option(argument)]
    options = [argument for argument in others if argument not in queries]

    from segsweep.reports.paper_figures.canvas import check_ending, save, style

    check_ending(out)
    runs = {run.id: run for query in queries for run in queried(Path(asked["runs_dir"]), query)}
    found = drawing.assigned(name, figure.RUNS, list(runs.values()))
    with style():
        save(drawing.drawn(figure, _opened(found, options), images), out)
    print(out)
    return 0


def _is_option(argument: str) -> bool:
    """Whether an argument is not a query for runs but an option for all of them, as in `segsweep test`."""
    from segsweep.planning.by_id import OPTIONS  # imports Hydra

    key = argument.partition("=")[0]
    return argument == TRUST or key in (*OPTIONS, "dataset.root") or key.partition(".")[0] == "test"


def _opened(runs: Sequence[Sequence[RunFolder]], options: Sequence[str]) -> list[list["TrainedRun"]]:
    """Return the runs under their own configurations with the options that the command gives."""
    from segsweep.planning import by_id
    from segsweep.planning.compose import Request
    from segsweep.reports.pictures.trained_run import TrainedRun

    overrides = [option for option in options if option != TRUST]
    if not any(by_id.chooses(override, "test") for override in overrides):
        overrides.append("test=[single]")
    by_id.check_options(overrides)
    chosen = Request("test", [override for override in overrides if by_id.chooses(override)]).settings
    for run in (run for some in runs for run in some):
        run.allowed |= by_id.named_classes(overrides)
        if TRUST in options:
            run.trust()
    return [[TrainedRun(run, by_id.configuration(run, overrides, chosen)) for run in some] for some in runs]
