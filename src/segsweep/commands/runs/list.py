"""`segsweep runs`: the runs of a folder, a row each."""

from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.failures import class_of
from segsweep.runs import compare, remarks
from segsweep.runs.folder import RunFolder
from segsweep.runs.lineage import source
from segsweep.runs.steps import max_steps, seconds_left
from segsweep.terminal import clock, percent

FIGURES = ("miou", "pixel_accuracy", "fwiou", "boundary_iou", "images")
LEFT_OUT_FIRST = ("holder", "train time", "test", "remarks", "error")
LEFT_OUT_LAST = ("left", "stage", "failure", "step", "mIoU %")
OWN_COLUMNS = ("number", "id", "state", *LEFT_OUT_FIRST, *LEFT_OUT_LAST)
"""Columns of the table for people; all others are axes, which go between the first and the last."""
Status = dict[str, Any]


def rows(runs: Sequence[RunFolder], statuses: Mapping[str, Status]) -> list[dict[str, Any]]:
    """One row a run, with a column for each axis on which they differ."""
    axes = compare.axes(runs)
    return [_row(run, statuses[run.id], axes) for run in runs]


def _row(run: RunFolder, status: Status, axes: Sequence[str]) -> dict[str, Any]:
    step, most = status["step"], max_steps(run)
    miou, measured = _headline(run, status)
    holder = run.holder() if status["state"] != "planned" else None
    return {
        "id": run.id,
        "state": status["state"],
        **compare.values(run, axes),
        "stage": run.plan.get("stage"),
        "parent": source(run),
        "step": step,
        "max_steps": most,
        "progress": step / most if most else None,
        "seconds_left": seconds_left(status),
        "holder": None if holder is None else f"{holder.host}:{holder.pid}",
        "miou": miou,
        "measured": measured,
        "seconds": status.get("train_seconds"),
        "failure": class_of(status),
        **remarks.facts(run, status),
        "error": status.get("error"),
    }


def _headline(run: RunFolder, status: Status) -> tuple[float | None, str | None]:
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


def for_people(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a table shows them: shares in %, times as clocks, and no column that is empty in all."""
    shown = [_for_people(row) for row in rows]
    kept = [key for key in (shown[0] if shown else ()) if any(row[key] not in (None, "") for row in shown)]
    return [{key: row[key] for key in kept} for row in shown]


def first_to_go(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of such a table that a narrow terminal has no room for, the first to go first."""
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
    return {**shown, "failure": last["failure"], "remarks": ", ".join(remarks.in_words(row)), **last}


def results_for_people(run: RunFolder) -> list[dict[str, Any]]:
    """The figures of a run's tests in %."""
    shares = [key for key in FIGURES if key != "images"]
    return [
        {"test": row["test"], **{f"{key} %": percent(row[key]) for key in shares}, "images": row["images"]}
        for row in results(run)
    ]
