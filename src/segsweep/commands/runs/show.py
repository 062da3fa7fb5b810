"""`segsweep runs show`: everything about one run."""

from collections.abc import Sequence
from typing import Any

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.output import check_format, print_rows
from segsweep.commands.runs.choice import one_run
from segsweep.commands.runs.list import FIGURES
from segsweep.commands.runs.sweeps import of_run
from segsweep.errors import as_typed
from segsweep.failures import ADVICE
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.identity import is_without_data
from segsweep.runs.lineage import children, read_statuses, source
from segsweep.sweeps.launchers.slurm_queue import noted
from segsweep.terminal import clock, percent

HELP = """usage: segsweep runs show ID [key=value ...]

Print all about one run: origin, parent and children, identity, environment, failure, tests.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv
"""
OF_STATUS = (
    "params", "best_miou", "train_seconds", "shrunk_to", "dropped_batches", "origin", "environment_changes",
    "nondeterministic", "error", "failure",
)  # fmt: skip
SHARES = ("best_miou", *(figure for figure in FIGURES if figure != "images"))
TIMES = {"train_seconds": "train time", "seconds_left": "time left"}
NO_FINGERPRINT = "not fingerprinted: an earlier segsweep planned it, and did not look at what they hold"
LOG_LINES = 20


def main(arguments: Sequence[str]) -> int:
    """Print one run: state, origin, differences, identity, tests with their protocols."""
    words, asked = parse_words(arguments, {"runs_dir": RUNS_DIR, "format": "table"})
    format = asked["format"]
    check_format(format)
    run = one_run("show", words, asked["runs_dir"])
    explained = explain(run)
    if format == "json":
        print_rows([explained], "json")
        return 0
    failure = explained.get("failure") or {}
    log = failure.pop("log", [])
    if failure:
        failure["what to do"] = ADVICE.get(failure["class"])
    known = [(key, value) for key, value in _flat(explained) if value not in (None, [])]
    if format == "table":
        known = [_for_people(key, value) for key, value in known]
    pairs = [{"what": key, "value": as_typed(value)} for key, value in known]
    print_rows(pairs, format, title=f"run {run.id}", fold="value")
    if log and format == "table":
        print("the end of log.txt when it failed:", *log[-LOG_LINES:], sep="\n  ")
    return 0


def _for_people(key: str, value: Any) -> tuple[str, Any]:
    """Return a key and its value for people: shares in %, times as clocks."""
    if key.rpartition(".")[2] in SHARES and isinstance(value, float):
        return key, f"{percent(value)} %"
    return (TIMES[key], clock(value)) if key in TIMES else (key, value)


def explain(run: RunFolder) -> dict[str, Any]:
    """Return all that is known of a run, as plain values."""
    runs = all_runs(run.path.parent)
    is_older = is_without_data(run.plan.identity) and run.plan.adopted is None
    status, holder = read_statuses(runs)[run.id], run.holder()
    return {
        "id": run.id,
        "folder": str(run.path),
        "state": status.state,
        "holder": None if holder is None else str(holder),
        "slurm_job": noted(run) or None,
        "step": status.step,
        "max_steps": run.plan.max_steps,
        "seconds_left": status.remaining,
        **{key: status.content.get(key) for key in OF_STATUS},
        "stage": run.plan.stage,
        "parent": source(run),
        "children": [child.id for child in children(run, runs)],
        "adopted": run.plan.adopted,
        "data": NO_FINGERPRINT if is_older else None,
        "sweeps": of_run(run),
        "overrides": " ".join(run.plan.overrides),
        "differs_in": compare.describe(run, compare.axes(runs)),
        "identity": run.plan.identity,
        "tests": {
            name: {**{key: getattr(metrics, key) for key in FIGURES}, "protocol": card.plain()}
            for name, (metrics, card) in run.read_tests().items()
        },
        "predictions": [str(path) for path in run.predictions()],
    }


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return pairs
