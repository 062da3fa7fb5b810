"""Who this process is among those that do one run together, and what they say to each other.

Ranks are processes that something started with torchrun's variables, or Slurm's, in their environment: what
starts them here (together.py) does as torchrun does, so that there is one way to be a rank. Objects travel
over gloo, on the CPU, whatever the devices. With one rank nothing here needs a process group.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from segsweep.errors import ConfigError, UserError


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


def gpus(accelerator: str) -> int:
    """The GPUs that a run with this accelerator may use; 0 where it runs on the CPU."""
    return torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0


def devices_wanted(config: Mapping[str, Any]) -> int:
    """`trainer.devices` as a number: processes on the CPU, GPUs where there are some.

    Raises:
        ConfigError: it is no number.
    """
    wanted = config["trainer"]["devices"]
    if wanted in ("auto", -1):
        return max(gpus(config["trainer"]["accelerator"]), 1)
    if type(wanted) is not int or wanted < 1:
        raise ConfigError(
            f"trainer.devices={wanted}: expected a number from 1, or auto (all GPUs of the machine)"
        )
    return wanted


def check_devices(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where this machine has GPUs, but fewer than a run wants.

    Only what runs here is asked: a sweep for Slurm is planned on a machine with few GPUs, or none.
    """
    wanted, there = devices_wanted(config), gpus(config["trainer"]["accelerator"])
    if wanted > there > 0:
        named = f"{there} GPU{'s' if there > 1 else ''}"
        raise ConfigError(
            f"trainer.devices={wanted}: this machine has {named}; use trainer.devices={there}, or "
            "trainer.accelerator=cpu"
        )


def processes(config: Mapping[str, Any]) -> int:
    """How many ranks a run of this configuration has, started here: those outside win over what it wants."""
    ranks = Ranks.of_environment()
    return ranks.world if ranks.world > 1 else devices_wanted(config)


def gather(value: Any) -> list[Any] | None:
    """Every rank's object, in the order of ranks, on rank 0; None on the others."""
    if not _grouped():
        return [value]
    values = [None] * distributed.get_world_size() if distributed.get_rank() == 0 else None
    distributed.gather_object(value, values)
    return values


def broadcast(value: Any) -> Any:
    """Rank 0's object; what the others give is left aside."""
    if not _grouped():
        return value
    values = [value if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(values)
    return values[0]


def barrier() -> None:
    """Wait until all ranks are here."""
    if _grouped():
        distributed.all_reduce(torch.zeros(1))


def _grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()
