"""The devices of this machine, allotted to the runs of a pool."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from segsweep.config.schema import RunConfig
from segsweep.cores import THREADS, usable_cores
from segsweep.errors import ConfigError

CPU = "cpu"


@dataclass
class Devices:
    """GPUs by their CUDA names, or the CPU as one device, each for `runs_per_gpu` runs at a time."""

    names: Sequence[str]
    runs_per_gpu: int = 1
    cpus_per_run: int | None = None
    pins: bool = True  # whether runs are restricted to their devices and threads
    taken: dict[str, int] = field(default_factory=dict)

    def take(self, wanted: int) -> list[str] | None:
        """Return devices for one run, those with fewest runs first; None if too few are free now.

        A run gets distinct GPUs. On the CPU each rank takes a place, up to the number of places.
        """
        if self.names == [CPU]:
            wanted = min(wanted, self.runs_per_gpu)
            chosen = [CPU] * wanted if self.taken.get(CPU, 0) + wanted <= self.runs_per_gpu else []
        else:
            free = [name for name in self.names if self.taken.get(name, 0) < self.runs_per_gpu]
            chosen = sorted(free, key=lambda name: self.taken.get(name, 0))[:wanted]
        if len(chosen) < wanted:
            return None
        for name in chosen:
            self.taken[name] = self.taken.get(name, 0) + 1
        return chosen

    def give_back(self, chosen: Sequence[str]) -> None:
        """Free devices that `take` returned."""
        for name in chosen:
            self.taken[name] -= 1

    def wanted_by(self, config: RunConfig) -> int:
        """Return the number of devices that a run takes; `auto` takes all of a pool's GPUs.

        Raises:
            ConfigError: it is not a number, or more than there are.
        """
        # Imported late because torch takes seconds, and a sweep that is done needs none of it.
        from segsweep.distributed.ranks import devices_wanted

        if not self.pins:
            return 1
        on_gpus = self.names != [CPU]
        auto = config.trainer.devices in ("auto", -1)
        wanted = len(self.names) if auto and on_gpus else devices_wanted(config)
        if on_gpus and wanted > len(self.names):
            raise ConfigError(
                f"trainer.devices={wanted}: the pool has {len(self.names)} GPUs ({', '.join(self.names)}); "
                "give fewer, or more as hydra.launcher.gpus"
            )
        return wanted

    def environment(self, chosen: Sequence[str]) -> dict[str, str]:
        """Return the variables that restrict a run's process to its devices and threads."""
        if not self.pins:
            return {}
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(name for name in chosen if name != CPU)}
        threads = self.cpus_per_run
        if not threads and not any(name in os.environ for name in THREADS):
            threads = max(1, usable_cores() // (len(self.names) * self.runs_per_gpu))
        return gpus | (dict.fromkeys(THREADS, str(threads)) if threads else {})


def one_at_a_time() -> Devices:
    """Return the whole machine as a place for one run at a time."""
    return Devices([CPU], pins=False)


def find_gpus(wanted: str | int | Sequence[int | str] | None) -> list[str]:
    """Return the GPUs that `hydra.launcher.gpus` names, `all` visible ones, or the CPU if there are none.

    Raises:
        ConfigError: a GPU does not exist.
    """
    visible = visible_gpus()
    if wanted in (None, "all"):
        return visible or [CPU]
    listed = wanted.split(",") if isinstance(wanted, str) else [wanted] if isinstance(wanted, int) else wanted
    asked = [str(name).strip() for name in listed]
    if asked in ([], ["none"]):
        return [CPU]
    missing = [name for name in asked if name not in visible]
    if missing:
        raise ConfigError(
            f"hydra.launcher.gpus={wanted}: no GPU {', '.join(missing)}; "
            f"known: {', '.join(visible) or 'none, this machine has no visible GPU'}"
        )
    return list(dict.fromkeys(asked))


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name.strip() for name in given.split(",")][:count] if given else [str(i) for i in range(count)]
