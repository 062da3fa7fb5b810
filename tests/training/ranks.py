"""Runs by several ranks, which are real processes that talk over gloo."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from torch import multiprocessing

from segsweep.runs.folder import RunFolder
from tests.support.commands import command, environment
from tests.support.inside import ROOT

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")


def execute(folder: RunFolder, torchrun: int = 0) -> "subprocess.CompletedProcess[str]":
    """Execute a run as its launcher does, by itself or under torchrun with so many ranks."""
    started = command("execute", str(folder.path))
    if torchrun:
        started = [*TORCHRUN, f"--nproc-per-node={torchrun}", *started[1:]]
    return subprocess.run(
        started, env=environment(PYTHONPATH=str(ROOT)), text=True, capture_output=True, timeout=180
    )


def do(folder: RunFolder, torchrun: int = 0) -> RunFolder:
    """Execute a run to its end."""
    done = execute(folder, torchrun)
    assert done.returncode == 0, done.stderr
    return folder


def processes_of(folder: RunFolder) -> list[int]:
    """Processes of the run that are left; those that are being ended are given some seconds for it."""
    deadline = time.monotonic() + 10
    while (found := _with(str(folder.path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _with(argument: str) -> list[int]:
    """Processes that have it in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # gone meanwhile
    return found


def in_group(function: Callable[[int, Path], None], world: int, place: Path) -> None:
    """Call `function(rank, place)` in so many processes that are one group."""
    multiprocessing.spawn(_in_group, (function, world, place), nprocs=world)


def _in_group(rank: int, function: Callable[[int, Path], None], world: int, place: Path) -> None:
    import torch
    from torch import distributed

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=world
    )
    function(rank, place)
    distributed.destroy_process_group()
