"""`segsweep runs rm`: remove runs, whole or not at all.

A run is first renamed to a hidden folder and then deleted: a removal that is killed leaves no partial run,
only a folder `.trash-…` that `segsweep runs gc` removes.
"""

import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from segsweep import files
from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.runs.sweeps import numbers
from segsweep.errors import ConfigError, UserError
from segsweep.runs.folder import RunFolder, all_runs, find_run
from segsweep.runs.journal import Journal
from segsweep.runs.lineage import descendants
from segsweep.sweeps.sweep import Sweep, names
from segsweep.terminal import mebibytes, plural

HELP = """usage: segsweep runs rm ID ... [key=value ...]
       segsweep runs rm sweep=NAME [key=value ...]

Remove runs after asking. A run that a process holds, or that others start from, is refused. sweep=NAME
removes a sweep: its record, and its runs except those that another sweep lists too.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  children=false     remove the runs that start from it as well
  yes=false          do not ask; without a terminal to ask on, rm refuses
"""
TRASH = ".trash-"


def main(arguments: Sequence[str]) -> int:
    """Remove runs by id, or a sweep; return the exit status."""
    defaults = {"runs_dir": RUNS_DIR, "sweep": None, "children": False, "yes": False}
    words, asked = parse_words(arguments, defaults)
    runs_dir, sweep = Path(asked["runs_dir"]), asked["sweep"]
    if bool(words) == bool(sweep):
        raise ConfigError("runs rm: which? expected ids, or sweep=NAME; segsweep runs lists them")
    if sweep:
        return remove_sweep(runs_dir, sweep, asked["children"], asked["yes"])
    return remove([find_run(runs_dir, word) for word in words], asked["children"], asked["yes"])


def remove(runs: Sequence[RunFolder], with_children: bool, yes: bool) -> int:
    """Remove runs after asking; return the exit status.

    Raises:
        UserError: if one is held by a process, others start from it, or there is no terminal to ask on.
    """
    chosen = _with_children(runs, with_children)
    for run in chosen:
        if (holder := run.holder()) is not None:
            raise UserError(f"run {run.id} is held by {holder}: nothing was removed; stop it first")
    size = sum(map(disk_use, (run.path for run in chosen)))
    sweeps = numbers(chosen[0].path.parent)
    for run in chosen:
        mentions = [name for name, known in sweeps.items() if run.id in known]
        also = f", of the sweep {' and '.join(mentions)}" if mentions else ""
        link = f", a link: {run.path.resolve()} stays" if run.path.is_symlink() else ""
        print(f"{run.id}  {run.status().state}{also}{link}")
    if not (yes or _agreed(f"remove {plural(len(chosen), 'run')}, {mebibytes(size)}?")):
        return 1
    if [run.id for run in _with_children(runs, with_children)] != [run.id for run in chosen]:
        raise UserError(
            "other runs started from these meanwhile: nothing was removed; give the command again"
        )
    for run in chosen:
        discard(run)
    print(f"removed {plural(len(chosen), 'run')}, {mebibytes(size)}")
    return 0


def remove_sweep(runs_dir: Path, name: str, with_children: bool, yes: bool) -> int:
    """Remove a sweep: its runs that no other sweep lists, then its record; return the exit status.

    Raises:
        UserError: if there is no such sweep, or if `remove` raises it.
    """
    sweep = Sweep.read(runs_dir, name)
    others = {other: ids for other, ids in mentioned(runs_dir).items() if other != name}
    own = []
    for run in sweep.runs:
        if mentions := [other for other, ids in others.items() if run.id in ids]:
            print(f"{run.id} stays: it is also in the sweep {' and '.join(mentions)}")
        else:
            own.append(run)
    if own and remove(own, with_children, yes):
        return 1
    if not (own or yes or _agreed(f"remove the record of sweep {name}?")):
        return 1
    sweep.journal.delete()
    print(f"removed the record of sweep {name}")
    return 0


def _with_children(runs: Sequence[RunFolder], allowed: bool) -> list[RunFolder]:
    """Return the runs, each after those that start from it, so that a kill leaves no run without parent.

    Raises:
        UserError: if others start from one of them, and `allowed` is not set.
    """
    there, asked = all_runs(runs[0].path.parent), {run.id for run in runs}
    chosen: dict[str, RunFolder] = {}
    for run in runs:
        below = descendants(run, there)
        others = [child.id for child in below if child.id not in asked]
        if others and not allowed:
            raise UserError(
                f"run {run.id} is what {', '.join(others)} started from: children=true removes them too"
            )
        chosen |= {each.id: each for each in [*below, run] if each.id not in chosen}
    return list(chosen.values())


def discard(run: RunFolder) -> None:
    """Delete a run's folder, or only the link if it is a symbolic link.

    Raises:
        UserError: if a process holds it.
    """
    with run.hold():
        trash = run.path.with_name(f"{TRASH}{run.id}-{uuid.uuid4().hex[:8]}")
        run.path.rename(trash)
    files.remove(trash)


def mentioned(runs_dir: Path) -> dict[str, set[str]]:
    """Return the ids that each sweep's record lists, by the sweep's name.

    Raises:
        DamagedFileError: if a record cannot be read.
    """
    records = [Journal(runs_dir, name).read() for name in names(runs_dir)]
    return {record.name: set(record.runs) for record in records if record}


def _agreed(question: str) -> bool:
    """Ask before something is removed; raise UserError if there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise UserError("runs rm asks first, and there is no terminal to ask on: yes=true removes unasked")
    agreed = agrees(question)
    if not agreed:
        print("nothing removed")
    return agreed


def agrees(question: str) -> bool:
    """Ask on the terminal; anything but y means no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def disk_use(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder; 0 for a symbolic link."""
    if path.is_symlink():
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
