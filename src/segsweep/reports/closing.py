"""What closes a sweep on the terminal: its results, and what became of the runs that have none.

All of it is read from run folders and from what the launcher noted; nothing here changes any.
"""

from typing import Any

from segsweep.reports.table import print_tables
from segsweep.runs.config.output import print_rows
from segsweep.runs.failures import ADVICE, PREEMPTED, class_of
from segsweep.runs.folder import RunFolder
from segsweep.runs.launch.sweep import Sweep

LOGS = 5
"""Failed runs of which the end of the log is printed."""


def print_closing(sweep: Sweep) -> None:
    """Print results over seeds, which runs failed and why, which were interrupted, which were left out."""
    print_tables(sweep.runs, title=f"sweep {sweep.name}")
    ended = [run for run in sweep.runs if run.id in sweep.reasons]
    failed = [run for run in ended if class_of(run.status()) != PREEMPTED]
    interrupted = [run for run in ended if run not in failed]
    total = len(sweep.runs)
    if failed:
        _print_failed(sweep, failed, f"{len(failed)} of {total} runs failed")
    if interrupted:
        print(f"{len(interrupted)} of {total} runs were interrupted: {ADVICE[PREEMPTED]}")
    if sweep.left_out:
        rows = [
            {"run": run.id, "member": sweep.label(run), "reason": sweep.left_out[run.id]}
            for run in sweep.runs
            if run.id in sweep.left_out
        ]
        print_rows(rows, "table", title=f"{len(rows)} of {total} runs were left out")


def _print_failed(sweep: Sweep, failed: list[RunFolder], title: str) -> None:
    print_rows([_row(sweep, run) for run in failed], "table", title=title)
    logged = [(run, log) for run in failed if (log := _failure(run).get("log"))]
    for run, log in logged[:LOGS]:
        print(f"the end of {run.log} ({sweep.label(run)}):", *log, "", sep="\n  ")
    if len(logged) > LOGS:
        print(f"… and {len(logged) - LOGS} more: segsweep runs show ID")


def _row(sweep: Sweep, run: RunFolder) -> dict[str, Any]:
    kind = class_of(run.status())
    return {
        "run": run.id,
        "member": sweep.label(run),
        "state": run.status()["state"],
        "class": kind,
        "reason": sweep.reasons[run.id],
        "what to do": ADVICE.get(kind or ""),
    }


def _failure(run: RunFolder) -> dict[str, Any]:
    return run.status().get("failure") or {}
