"""The closing report of a sweep on the terminal: its results, and why runs are missing from them.

It is read from the run folders and the launcher's notes; nothing here changes them.
"""

from collections.abc import Iterator

from segsweep.commands.output import print_rows
from segsweep.failures import ADVICE, PREEMPTED
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.writers.text_table import text_tables
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import clock, one_line, printable

LOGS = 5
"""The number of failed runs whose log is quoted."""


def print_closing(sweep: Sweep) -> None:
    """Print results over seeds, then the runs that failed, were interrupted or were left out, and why."""
    for table in text_tables(findings(sweep.runs, Wish(quick=True), sweep)):
        if table.measured:
            title = f"sweep {sweep.name}: mIoU in %, {table.measured}"
            print_rows(table.flat(), "table", title=title, first_to_go=table.first_to_go())
    took, trained = sweep.seconds()
    print(f"sweep {sweep.name}: {clock(took)} in all, {clock(trained)} of it training, summed over its runs")
    ended = [run for run in sweep.runs if run.id in sweep.reasons]
    failed = [run for run in ended if run.status().failure_class != PREEMPTED]
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
        print_rows(rows, "table", title=f"{len(rows)} of {total} runs were left out", fold="reason")


def _print_failed(sweep: Sweep, failed: list[RunFolder], title: str) -> None:
    print(title)
    for run in failed:
        print(*_outcome(sweep, run), sep="\n")
    print()
    logged = [(run, log) for run in failed if (failure := run.status().failure) and (log := failure.log)]
    for run, log in logged[:LOGS]:
        shown = [printable(str(line)) for line in log]
        print(f"the end of {run.log} ({one_line(sweep.label(run))}):", *shown, "", sep="\n  ")
    if len(logged) > LOGS:
        print(f"… and {len(logged) - LOGS} more: segsweep runs show ID")


def _outcome(sweep: Sweep, run: RunFolder) -> Iterator[str]:
    """Yield lines on how a run ended, why, and what to do; no table, as a reason may be long."""
    kind = run.status().failure_class
    state = ", ".join(filter(None, (run.status().state, kind)))
    yield f"  {run.id}  {one_line(sweep.label(run))}: {state}"
    yield f"    {one_line(sweep.reasons[run.id])}"
    if kind in ADVICE:
        yield f"    what to do: {ADVICE[kind]}"
