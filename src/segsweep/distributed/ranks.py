"""Which rank of a run this process is, and how many ranks a run wants.

Ranks are processes that were started with torchrun's variables, or Slurm's, in their environment: what starts
them here (children.py) does as torchrun does, so that there is one way to be a rank. Nothing here imports
torch before it is asked about GPUs, as every command asks for its rank.
"""

import os
import re
from dataclasses import dataclass

from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, UserError
from segsweep.rules import DEVICES


@dataclass(frozen=True)
class Ranks:
    """This process's place among all, and among those of its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @staticmethod
    def of_environment() -> "Ranks":
        """Read torchrun's variables, else srun's if its step has several tasks; else this process is alone.

        Raises:
            UserError: srun gave the machines different numbers of tasks.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if all(os.environ.get(name, "").isdigit() for name in names):
            return Ranks(*(int(os.environ[name]) for name in names))
        in_all = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
        if not os.environ.get("SLURM_STEP_ID", "").isdigit() or int(in_all) == 1:
            return Ranks()  # a batch script is no step, and a pool of runs is a step of one task
        # Slurm writes [2, 2, 2, 1] as 2(x3),1.
        per_node = re.findall(r"(\d+)(?:\(x(\d+)\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", in_all))
        tasks = [int(count) for count, times in per_node for _ in range(int(times or 1))]
        if len(set(tasks)) > 1:
            raise UserError(f"srun started {tasks} tasks a node: give all the same with --ntasks-per-node")
        ranks = (int(os.environ["SLURM_PROCID"]), sum(tasks), int(os.environ["SLURM_LOCALID"]), tasks[0])
        return Ranks(*ranks)

    @property
    def nodes(self) -> int:
        """The number of machines that take part."""
        return self.world // self.local_world

    def variables(self) -> dict[str, str]:
        """Return what torchrun would put into the environment of this rank, without the address."""
        node = os.environ.get("SLURM_NODEID", "0") if self.nodes > 1 else "0"
        values = {
            "RANK": self.rank, "WORLD_SIZE": self.world,
            "LOCAL_RANK": self.local_rank, "LOCAL_WORLD_SIZE": self.local_world, "GROUP_RANK": node,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items()}


def name_address() -> None:
    """Set the address of rank 0 under srun, which sets none: the step's first machine, a port of its own."""
    if "MASTER_ADDR" not in os.environ:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        os.environ["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(nodes)
    if "MASTER_PORT" not in os.environ:
        job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
        os.environ["MASTER_PORT"] = str(15000 + (job + 101 * step) % 10000)


def gpus(accelerator: str) -> int:
    """Return how many GPUs a run with this accelerator may use; 0 if it runs on the CPU."""
    if accelerator not in ("auto", "gpu", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


def devices_wanted(config: RunConfig) -> int:
    """Return `trainer.devices` as a number: of GPUs, or of processes on the CPU.

    Raises:
        ConfigError: it is neither a number nor `auto`.
    """
    wanted: int | str = DEVICES.check("trainer.devices", config.trainer.devices)
    return wanted if isinstance(wanted, int) and wanted > 0 else max(gpus(config.trainer.accelerator), 1)


def check_devices(config: RunConfig) -> None:
    """Raise ConfigError if this machine has fewer GPUs than a run wants.

    Call it for runs that execute here only: a sweep for Slurm may be planned on a machine without GPUs.
    """
    accelerator = config.trainer.accelerator
    wanted, there = devices_wanted(config), gpus(accelerator)
    if accelerator in ("gpu", "cuda") and there == 0:
        raise ConfigError(
            f"trainer.accelerator={accelerator}: torch finds no GPU on this machine; with "
            "trainer.accelerator=auto its CPU is used"
        )
    if wanted > there > 0:
        named = f"{there} GPU{'s' if there > 1 else ''}"
        raise ConfigError(
            f"trainer.devices={wanted}: this machine has {named}; use trainer.devices={there}, or "
            "trainer.accelerator=cpu"
        )


def processes(config: RunConfig) -> int:
    """Return how many ranks a run has if this process executes it: ranks already started win."""
    ranks = Ranks.of_environment()
    return ranks.world if ranks.world > 1 else devices_wanted(config)
