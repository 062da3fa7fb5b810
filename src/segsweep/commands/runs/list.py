"""`segsweep runs`: the runs of a folder, one per row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep.commands import runs as command
from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.output import check_format, print_rows
from segsweep.commands.runs.choice import matching, ordered
from segsweep.errors import OptionError
from segsweep.runs import compare
from segsweep.runs.contents import State, Status
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.lineage import read_statuses, source
from segsweep.terminal import clock, percent

HELP = command.HELP
DEFAULTS = {"runs_dir": RUNS_DIR, "format": "table", "state": None, "sweep": None, "sort": None, "best": None}
"""The list's options; any other is a setting that the listed runs must have."""

FIGURES = ("miou", "pixel_accuracy", "fwiou", "boundary_iou", "images")
LEFT_OUT_FIRST = ("holder", "train time", "test", "remarks", "error")
LEFT_OUT_LAST = ("left", "stage", "failure", "step", "mIoU %")
OWN_COLUMNS = ("id", "number", "state", *LEFT_OUT_FIRST, *LEFT_OUT_LAST)
"""Columns of the table for people; all others are axes, left out after the first and before the last."""


def main(arguments: Sequence[str]) -> int:
    """List the runs that the options and settings choose."""
    own, settings = split(arguments, DEFAULTS)
    asked = parse(own, DEFAULTS)
    check_format(asked["format"])
    state, runs_dir, best = asked["state"], Path(asked["runs_dir"]), asked["best"]
    if state is not None and state not in list(State):
        raise OptionError("state", state, near=State)
    if best is not None and not (best.isdigit() and int(best) > 0):
        raise OptionError("best", best, "a number of runs, at least 1")
    runs = all_runs(runs_dir)
    statuses = read_statuses(runs)  # of all runs, as a run may wait for another
    numbers: dict[str, int] = {}
    if asked["sweep"]:
        from segsweep.sweeps.sweep import Sweep  # imports Hydra, which takes long for a list

        numbers = Sweep.read(runs_dir, asked["sweep"]).journal.numbers()
        runs = sorted((run for run in runs if run.id in numbers), key=lambda run: numbers[run.id])
    chosen = [run for run in matching(runs, settings, DEFAULTS) if state in (None, statuses[run.id].state)]
    found = rows(chosen, statuses)
    if asked["sweep"]:
        found = [{"id": row["id"], "number": numbers[row["id"]], **row} for row in found]
    found = ordered(found, asked["sort"], None if best is None else int(best))
    shown = for_people(found) if asked["format"] == "table" else found
    title = " ".join([f"runs in {runs_dir}", *settings])
    print_rows(shown, asked["format"], title=title, first_to_go=first_to_go(shown))
    return 0


def rows(runs: Sequence[RunFolder], statuses: Mapping[str, Status]) -> list[dict[str, Any]]:
    """Return one row per run, with a column for each axis on which they differ."""
    axes = compare.axes(runs)
    return [_row(run, statuses[run.id], axes) for run in runs]


def _row(run: RunFolder, status: Status, axes: Sequence[str]) -> dict[str, Any]:
    step, most = status.step, run.plan.max_steps
    miou, measured = _headline(run, status)
    holder = run.holder() if status.state is not State.PLANNED else None
    return {
        "id": run.id,
        "state": status.state,
        **compare.values(run, axes),
        "stage": run.plan.stage,
        "parent": source(run),
        "step": step,
        "max_steps": most,
        "progress": step / most if most else None,
        "seconds_left": status.remaining,
        "holder": None if holder is None else f"{holder.host}:{holder.pid}",
        "miou": miou,
        "measured": measured,
        "seconds": status.train_seconds,
        "failure": status.failure_class,
        **compare.remarks(run, status),
        "error": status.error,
    }


def _headline(run: RunFolder, status: Status) -> tuple[float | None, str | None]:
    """Return a run's mIoU and its origin: a test's, else the last validation's."""
    tests = results(run)
    if tests:
        first = min(tests, key=lambda row: (row["test"] != "single", row["test"]))
        return first["miou"], first["test"]
    miou = status.val_miou
    return miou, None if miou is None else "val"


def results(run: RunFolder) -> list[dict[str, Any]]:
    """Return the figures of a run's tests, one row per strategy."""
    return [
        {"test": name, **{key: getattr(metrics, key) for key in FIGURES}}
        for name, (metrics, _) in run.read_tests().items()
    ]


def for_people(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows for a table: shares in %, times as clocks, without columns that are empty in all rows."""
    shown = [_for_people(row) for row in rows]
    kept = [key for key in (shown[0] if shown else ()) if any(row[key] not in (None, "") for row in shown)]
    return [{key: row[key] for key in kept} for row in shown]


def first_to_go(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns to leave out on a narrow terminal, in order."""
    axes = [key for key in (rows[0] if rows else ()) if key not in OWN_COLUMNS]
    return [*LEFT_OUT_FIRST, *reversed(axes), *LEFT_OUT_LAST]


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    hidden = ("progress", "max_steps", "shrunk_to", "dropped_batches", "adopted", "parent")
    shown = {key: value for key, value in row.items() if key not in hidden}
    if row["max_steps"]:
        shown["step"] = f"{row['step']}/{row['max_steps']}"
    shown["left"] = clock(shown.pop("seconds_left"))
    shown["mIoU %"], shown["test"] = percent(shown.pop("miou")), shown.pop("measured")
    shown["train time"] = clock(shown.pop("seconds"))
    last = {key: shown.pop(key) for key in ("failure", "error")}
    return {**shown, "failure": last["failure"], "remarks": ", ".join(compare.remarks_in_words(row)), **last}


def results_for_people(run: RunFolder) -> list[dict[str, Any]]:
    """Return the figures of a run's tests in %."""
    shares = [key for key in FIGURES if key != "images"]
    return [
        {"test": row["test"], **{f"{key} %": percent(row[key]) for key in shares}, "images": row["images"]}
        for row in results(run)
    ]
