"""One rank of those that test some runs one after another; what each came to goes into its folder.

`python -m tests.evaluation.rank STORE WORLD=FOLDER ...` with RANK in the environment: each run by as many
ranks as it names, of which this may be none. Many runs in one process spare the seconds that each process
takes to start; that they follow one another shows besides that an error leaves all ranks in step.
"""

import os
import sys
from itertools import groupby
from pathlib import Path

import torch
from torch import distributed

from segsweep import failures
from segsweep.distributed.ranks import Ranks
from segsweep.execution.test import run_tests
from segsweep.runs.folder import RunFolder


def outcome(folder: RunFolder, ranks: Ranks) -> str:
    """Test a run; what came of it, in a line."""
    try:
        run_tests(folder, folder.config(), ranks)
    except Exception as error:
        return f"{failures.classify(error)}: {failures.one_line(error)}"
    return "tested"


def main() -> None:
    """Be the rank that the environment names."""
    torch.set_num_threads(1)  # more threads add up in another order
    store, *orders = sys.argv[1:]
    rank = int(os.environ["RANK"])
    for world, same in groupby(orders, lambda order: int(order.partition("=")[0])):
        if rank >= world:
            continue
        method = f"file://{store}{world}"
        distributed.init_process_group("gloo", init_method=method, rank=rank, world_size=world)
        for order in same:
            path = Path(order.partition("=")[2])
            said = outcome(RunFolder(path), Ranks(rank, world, rank, world))
            (path / f"rank{rank}.txt").write_text(said)
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
