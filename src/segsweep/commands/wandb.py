"""`segsweep wandb sync`: upload what runs with `logger=wandb` kept offline, by wandb's own command."""

import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.runs.choice import matching, runs_of
from segsweep.errors import OptionError, UserError
from segsweep.runs.folder import RunFolder, find_run
from segsweep.runs.lineage import source
from segsweep.training.wandb_files import logged_in, not_synced

HELP = """usage: segsweep wandb sync [ID ...] [sweep=NAME] [key=value ...]

Upload what runs with logger=wandb kept in their folders, with wandb's own sync. Takes all runs, or those
named by the first digits of their ids, of a sweep, or with these settings (head=ksac seed=0,1). Files that
were uploaded before are left out, and so is a run that a process is working on. Parents come before children.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  sweep=NAME         only the runs of a sweep

examples
  segsweep wandb sync
  segsweep wandb sync sweep=rates
"""
DEFAULTS = {"runs_dir": RUNS_DIR, "sweep": None}

log = logging.getLogger("segsweep")


def main(arguments: Sequence[str]) -> int:
    """Upload the chosen runs' offline files; return the exit status.

    Raises:
        UserError: nobody is logged in to wandb, or wandb did not upload all files.
    """
    words = [argument for argument in arguments if "=" not in argument]
    if words[:1] != ["sync"]:
        raise OptionError(" ".join(["wandb", *words[:1]]), problem="no such command", near=["sync"])
    runs = _chosen(words[1:], [argument for argument in arguments if "=" in argument])
    waiting = [run for run in runs if not_synced(run.path)]
    for run in (busy := [run for run in waiting if run.holder() is not None]):
        log.info(f"left out: a process is working on run {run.id}; sync it afterwards")
    idle = [run for run in waiting if run not in busy]
    if not idle:
        print(f"nothing to upload: {len(runs)} runs, none with offline files of wandb that are not uploaded")
        return 0
    if not logged_in():
        raise UserError(
            f"wandb: no login, so nothing of {len(idle)} runs was uploaded; run `wandb login` or set "
            "WANDB_API_KEY, then give the same command again"
        )
    return _upload(idle)


def _chosen(ids: Sequence[str], arguments: Sequence[str]) -> list[RunFolder]:
    own, settings = split(arguments, DEFAULTS)
    asked = parse(own, DEFAULTS)
    runs_dir = Path(asked["runs_dir"])
    runs = runs_of(runs_dir, asked["sweep"])
    if named := {find_run(runs_dir, id).id for id in ids}:
        runs = [run for run in runs if run.id in named]
    return matching(runs, settings, DEFAULTS)


def _upload(runs: Sequence[RunFolder]) -> int:
    """Upload generation by generation, as a run's weights must be known before a run that began with them."""
    for generation in _generations(runs):
        files = [str(file) for run in generation for file in not_synced(run.path)]
        subprocess.run([sys.executable, "-m", "wandb", "sync", *files], check=False)
    # wandb's exit status is 0 also if it could not upload a file.
    lacking = [run.id for run in runs if not_synced(run.path)]
    if lacking:
        raise UserError(
            f"wandb did not upload {len(lacking)} of {len(runs)} runs ({', '.join(lacking)}): it says why "
            "above; the same command goes on with them"
        )
    print(f"{len(runs)} runs uploaded")
    return 0


def _generations(runs: Sequence[RunFolder]) -> Iterator[list[RunFolder]]:
    known = {run.id: run for run in runs}
    ages = {run.id: _age(run, known) for run in runs}
    for _, generation in groupby(sorted(runs, key=lambda run: ages[run.id]), lambda run: ages[run.id]):
        yield list(generation)


def _age(run: RunFolder, known: Mapping[str, RunFolder]) -> int:
    parent = known.get(source(run) or "")
    return 0 if parent is None else 1 + _age(parent, known)
