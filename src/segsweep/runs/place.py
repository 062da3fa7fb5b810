"""This process's place among those that torchrun or srun started together, asked without importing torch."""

import os


def place() -> tuple[int, int]:
    """Rank and number of ranks: 0 and 1 for a process that is alone.

    Raises:
        UserError: srun gave the machines different numbers of tasks.
    """
    if not {"WORLD_SIZE", "SLURM_STEP_ID"} & os.environ.keys():
        return 0, 1
    from segsweep.runs.ranks import Ranks

    ranks = Ranks.of_environment()
    return ranks.rank, ranks.world
