"""`segsweep runs verify`: check that every file of a run is whole and belongs to it."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.output import check_format, print_rows
from segsweep.errors import DamagedFileError, FileError, UserError
from segsweep.failures import one_line
from segsweep.runs import layout
from segsweep.runs.contents import Asked, Card, CheckpointCard, Metrics, Plan, State, Status
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import file_hash, id_of
from segsweep.runs.lineage import source
from segsweep.runs.versions import IDENTITY_VERSION
from segsweep.terminal import plural

HELP = """usage: segsweep runs verify [ID ...] [key=value ...]

Check ids, checksums and every file, of all runs or of those named; the exit status is 1 if anything is wrong.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv
"""
AGAIN = "its training command, given again, mends it"


class Problem(NamedTuple):
    """Something wrong with a file of a run."""

    run: str
    file: str
    problem: str
    repair: str

    @classmethod
    def of(cls, run: RunFolder, file: str, error: Exception, repair: str) -> "Problem":
        """Return an error as a problem of the file that it names, or else of `file`."""
        if isinstance(error, FileError):
            return cls(run.id, os.path.relpath(error.file, run.path), error.problem, repair)
        return cls(run.id, file, one_line(error), repair)


def main(arguments: Sequence[str]) -> int:
    """Check all runs, or those whose ids are given, and print problems; return 1 if there are any.

    Raises:
        UserError: if no run has such an id.
    """
    prefixes, asked = parse_words(arguments, {"runs_dir": RUNS_DIR, "format": "table"})
    runs_dir, format = Path(asked["runs_dir"]), asked["format"]
    check_format(format)
    # Not `all_runs`, which leaves out what is damaged.
    folders = [RunFolder(plan.parent) for plan in sorted(runs_dir.glob(f"[!.]*/{layout.PLAN}"))]
    for prefix in prefixes:
        if not any(run.id.startswith(prefix) for run in folders):
            raise UserError(f"no run in {runs_dir} with an id beginning {prefix!r}; segsweep runs lists them")
    chosen = [run for run in folders if not prefixes or run.id.startswith(tuple(prefixes))]
    problems = [problem for run in chosen for problem in check(run)]
    if format != "table":
        print_rows([p._asdict() for p in problems], format, columns=Problem._fields)
        return 1 if problems else 0
    for run, file, problem, repair in problems:
        print(f"{run}/{file}: {problem}\n    {repair}")
    bad = len({problem.run for problem in problems})
    print(f"{plural(len(chosen), 'run')} checked: " + (f"{bad} with problems" if bad else "all are whole"))
    return 1 if problems else 0


def check(run: RunFolder) -> Iterator[Problem]:
    """Yield problems of a run; if it is held, only in files that its process does not write."""
    try:
        state = run.status().state
        yield from _of_plan(run)
    except UserError as error:  # without its plan, the expected files are unknown
        yield Problem.of(run, layout.PLAN, error, "put back a copy of plan.json, or remove the folder")
        return
    if run.holder() is not None:
        return
    yield from _of_status(run)
    for name in (layout.STEPS, layout.VALIDATION):
        yield from _of_table(run, name, finished=state is State.DONE)
    yield from _of_checkpoints(run, finished=state is State.DONE)
    yield from _of_tests(run)


def _of_plan(run: RunFolder) -> Iterator[Problem]:
    # The plan as written; `run.plan` is in this version's form.
    plan = Plan.read(run.path / layout.PLAN, AGAIN) or run.plan
    hashed = id_of(plan.identity, plan.parent, plan.identity_version or IDENTITY_VERSION)
    if not hashed == plan.id == run.id:
        found = f"folder {run.id}, plan {plan.id}, hash of its identity {hashed}"
        yield Problem(
            run.id, layout.PLAN, f"three ids that should be one: {found}", "undo what was changed or renamed"
        )
    parent = source(run)
    if parent is not None and not layout.is_run(run.path.parent / parent):
        repair = "its weights and tests stand; the chain's command, given again, trains the parent again"
        yield Problem(run.id, layout.PLAN, f"the run it started from, {parent}, is not there", repair)
    try:
        run.config()
    except UserError as error:
        repair = AGAIN if isinstance(error, DamagedFileError) else "use that version"
        yield Problem.of(run, layout.CONFIG, error, repair)


def _of_status(run: RunFolder) -> Iterator[Problem]:
    try:
        status = Status.read(run.path / layout.STATUS, AGAIN)
    except UserError as error:
        yield Problem.of(run, layout.STATUS, error, AGAIN)
        return
    if status is None:
        yield Problem(run.id, layout.STATUS, "is not there", AGAIN)
    elif status.state is State.DONE and status.step != (most := run.plan.max_steps) and most is not None:
        yield Problem(run.id, layout.STATUS, f"done at step {status.step} of {most}", "force=true trains it")


def _of_table(run: RunFolder, name: str, finished: bool) -> Iterator[Problem]:
    """Check a CSV file; a torn last line is normal after a kill, and damage in a finished run."""
    path = run.path / name
    if not path.is_file():
        if finished and run.plan.adopted is None:
            repair = "force=true trains again; the weights are not touched"
            yield Problem(run.id, name, "is not there", repair)
        return
    text = path.read_text(errors="replace")
    whole, torn = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
    header, *rows = [*csv.reader(io.StringIO(whole))] or [[]]
    bad = [number for number, row in enumerate(rows, 2) if len(row) != len(header) or not row[0].isdigit()]
    if bad:
        yield Problem(run.id, name, f"line {bad[0]} is no row of {len(header)} values", "remove that line")
    if torn and finished:
        yield Problem(run.id, name, "its last line is cut", "remove that line; the rows before are whole")


def _of_checkpoints(run: RunFolder, finished: bool) -> Iterator[Problem]:
    from segsweep.training import checkpoint_files as files  # imports torch

    resume = "remove it, and the same command goes on from the one before"
    again = "put back a copy" if finished else resume
    found = sorted(run.checkpoints.glob("*.ckpt"))
    for path in found:
        try:
            remark = files.verify(path)
        except files.DamagedCheckpointError:
            yield Problem(run.id, f"checkpoints/{path.name}", "is not what was written (checksum)", again)
            continue
        if remark:
            command = f"cd {run.checkpoints} && sha256sum *.ckpt > {layout.SUMS}"
            yield Problem(run.id, f"checkpoints/{layout.SUMS}", remark, f"the checkpoint is good: {command}")
        if path.name == layout.LAST:
            yield from _of_rows(run, *files.rows_counted(path))
    if finished and run.checkpoints / layout.LAST not in found:
        repair = "force=true trains it again; its tests stand"
        yield Problem(run.id, f"checkpoints/{layout.LAST}", "a done run without its weights", repair)


def _of_rows(run: RunFolder, step: int, counted: Mapping[str, int]) -> Iterator[Problem]:
    """Yield files that lack rows which a checkpoint relies on, after a power cut or an edit."""
    for name, count in counted.items():
        path = run.path / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        first = [line.partition(",")[0] for line in text.splitlines()[1:]]
        there = sum(1 for value in first if value.isdigit() and int(value) <= step)
        if there < count:
            missing = f"{count - there} of {count} rows up to the checkpoint's step {step} are missing"
            repair = "weights and tests stand; put back a copy, or force=true trains again"
            yield Problem(run.id, name, missing, repair)


def _of_tests(run: RunFolder) -> Iterator[Problem]:
    from segsweep.evaluation.protocol import read_test

    for path in sorted(run.tests.glob("[!.]*")):
        name, repair = f"tests/{path.name}", f"remove it and test again: segsweep test {run.id}"
        try:
            card = Card.read(path / layout.PROTOCOL, repair)
            if (path / layout.METRICS).exists() or card is None:
                Metrics.read(path / layout.METRICS, repair)
                read_test(path)
            Asked.read(path / layout.ASKED, repair)
        except (UserError, OSError, ValueError, KeyError) as error:
            yield Problem.of(run, name, error, repair)
            continue
        if card is not None:
            yield from _of_weights(run, name, card.checkpoint, repair)


def _of_weights(run: RunFolder, name: str, tested: CheckpointCard, repair: str) -> Iterator[Problem]:
    """Yield a problem if a test was of other weights than the present ones."""
    path = run.checkpoints / f"{tested.which}.ckpt"
    if path.is_file() and file_hash(str(path)) != tested.sha256:
        yield Problem(run.id, name, f"is of other weights than the {path.name} in the folder", repair)
