"""`segsweep runs`: the runs of a folder, and one of them explained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsweep.errors import ConfigError
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder, all_runs, find_run
from segsweep.runs.options import RUNS_DIR, parse
from segsweep.runs.output import check_format, print_rows

HELP = """usage: segsweep runs [show ID] [key=value ...]

Lists the runs: state, what tells them apart, step, test mIoU, training time.
segsweep runs show ID explains one; the first digits of an id are enough.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv
"""


def main(arguments: Sequence[str]) -> int:
    """`segsweep runs [show ID]`."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    words = [argument for argument in arguments if "=" not in argument]
    options = parse([a for a in arguments if "=" in a], {"runs_dir": RUNS_DIR, "format": "table"})
    check_format(options["format"])
    runs_dir = Path(options["runs_dir"])
    if not words:
        print_rows(rows(all_runs(runs_dir)), options["format"], title=f"runs in {runs_dir}", columns=None)
    elif words[0] == "show" and len(words) == 2:
        show(find_run(runs_dir, words[1]), options["format"])
    else:
        raise ConfigError(f"{' '.join(words)}: expected nothing or show ID; see segsweep runs --help")
    return 0


def rows(runs: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """One row a run, with a column for each axis on which they differ."""
    axes = compare.axes(runs)
    return [_row(run, axes) for run in runs]


def _row(run: RunFolder, axes: Sequence[str]) -> dict[str, Any]:
    status = run.status()
    miou, measured = _headline(run, status)
    return {
        "id": run.id,
        "state": status["state"],
        **compare.values(run, axes),
        "step": status["step"],
        "max_steps": run.plan["identity"]["trainer.max_steps"],
        "miou": miou,
        "measured": measured,
        "seconds": status.get("train_seconds"),
        "error": status.get("error"),
    }


def _headline(run: RunFolder, status: dict[str, Any]) -> tuple[float | None, str | None]:
    """The one number to show of a run, and what it is: a test's mIoU, else the last validation's."""
    tests = results(run)
    if tests:
        first = min(tests, key=lambda row: (row["test"] != "single", row["test"]))
        return first["miou"], first["test"]
    miou = status.get("val_miou")
    return miou, None if miou is None else "val"


def results(run: RunFolder) -> list[dict[str, Any]]:
    """The figures of a run's tests, one row a strategy."""
    return [
        {"test": name, **{key: metrics[key] for key in FIGURES}}
        for name, (metrics, _) in run.read_tests().items()
    ]


FIGURES = ("miou", "pixel_accuracy", "fwiou", "boundary_iou", "images")


def show(run: RunFolder, format: str) -> None:
    """Explain one run: state, what it differs in from the rest, identity, tests with their protocols."""
    status = run.status()
    others = all_runs(run.path.parent)
    explained = {
        "id": run.id,
        "folder": str(run.path),
        **{
            key: status.get(key)
            for key in ("state", "step", "max_steps", "params", "best_miou", "train_seconds", "error")
        },
        "overrides": " ".join(run.plan["overrides"]),
        "differs_in": compare.describe(run, compare.axes(others)),
        "identity": run.plan["identity"],
        "tests": {
            name: {**{key: metrics[key] for key in FIGURES}, "protocol": card}
            for name, (metrics, card) in run.read_tests().items()
        },
        "predictions": [str(path) for path in run.predictions()],
    }
    if format == "json":
        print_rows([explained], "json")
        return
    pairs = [{"what": key, "value": compare.show(value)} for key, value in _flat(explained)]
    print_rows(pairs, format, title=f"run {run.id}")


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return pairs
