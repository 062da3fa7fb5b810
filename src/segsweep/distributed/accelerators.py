"""How many devices a run wants, and whether this machine has them."""

from collections.abc import Mapping
from typing import Any

from segsweep.distributed.ranks import Ranks
from segsweep.errors import ConfigError


def gpus(accelerator: str) -> int:
    """The GPUs that a run with this accelerator may use; 0 where it runs on the CPU."""
    if accelerator not in ("auto", "gpu", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


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
    """Raise ConfigError where this machine has fewer GPUs than a run wants.

    Only what runs here is asked: a sweep for Slurm is planned on a machine with few GPUs, or none.
    """
    accelerator = config["trainer"]["accelerator"]
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


def processes(config: Mapping[str, Any]) -> int:
    """How many ranks a run of this configuration has, started here: those outside win over what it wants."""
    ranks = Ranks.of_environment()
    return ranks.world if ranks.world > 1 else devices_wanted(config)
