"""Who this process is among those that do one run together.

Ranks are processes that something started with torchrun's variables, or Slurm's, in their environment: what
starts them here (children.py) does as torchrun does, so that there is one way to be a rank. Asked without
importing torch, as every command asks.
"""

import os
import re
from dataclasses import dataclass

from segsweep.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """This process's place among all, and among those of its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @staticmethod
    def of_environment() -> "Ranks":
        """As torchrun says it, else as srun does for a step of several tasks, else alone.

        Raises:
            UserError: srun gave the machines different numbers of tasks.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if all(os.environ.get(name, "").isdigit() for name in names):
            return Ranks(*(int(os.environ[name]) for name in names))
        if not os.environ.get("SLURM_STEP_ID", "").isdigit() or int(_step("NUM_TASKS", "1")) == 1:
            return Ranks()  # the batch script is no step, and a pool of runs is one of a single task
        tasks = _tasks_per_node(_step("TASKS_PER_NODE", _step("NUM_TASKS", "1")))
        if len(set(tasks)) > 1:
            raise UserError(f"srun started {tasks} tasks a node: give all the same with --ntasks-per-node")
        ranks = (int(os.environ["SLURM_PROCID"]), sum(tasks), int(os.environ["SLURM_LOCALID"]), tasks[0])
        return Ranks(*ranks)

    @property
    def nodes(self) -> int:
        """The machines that take part."""
        return self.world // self.local_world

    def variables(self) -> dict[str, str]:
        """What torchrun would have put into the environment of this rank, without the address."""
        node = os.environ.get("SLURM_NODEID", "0") if self.nodes > 1 else "0"
        values = {
            "RANK": self.rank, "WORLD_SIZE": self.world,
            "LOCAL_RANK": self.local_rank, "LOCAL_WORLD_SIZE": self.local_world, "GROUP_RANK": node,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items()}


def _step(name: str, default: str) -> str:
    return os.environ.get(f"SLURM_STEP_{name}", default)


def _tasks_per_node(text: str) -> list[int]:
    """Slurm's `2(x3),1` as [2, 2, 2, 1]."""
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(tasks) for tasks, times in parts for _ in range(int(times or 1))]


def name_address() -> None:
    """Under srun, which names none: a step's first machine, and a port that follows from job and step."""
    if "MASTER_ADDR" not in os.environ:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        os.environ["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(nodes)
    if "MASTER_PORT" not in os.environ:
        job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
        os.environ["MASTER_PORT"] = str(15000 + (job + 101 * step) % 10000)
