"""The devices of this machine, shared out among the runs of a pool."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError

CPU = "cpu"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Devices:
    """GPUs by their CUDA names, or the CPU as one device, each for `runs_per_gpu` runs at a time."""

    names: Sequence[str]
    runs_per_gpu: int = 1
    cpus_per_run: int | None = None
    pins: bool = True
    """Whether runs are kept to their devices and threads."""
    taken: dict[str, int] = field(default_factory=dict)

    def take(self, wanted: int) -> list[str] | None:
        """Devices for one run, those with fewest runs first; None where they are not free now.

        GPUs are different ones. The ranks of a run on the CPU count one each, as far as there is room.
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
        """Free what `take` gave."""
        for name in chosen:
            self.taken[name] -= 1

    def wanted_by(self, config: RunConfig) -> int:
        """The devices that a run takes: one after the other takes the machine, `auto` all of a pool's GPUs.

        Raises:
            ConfigError: they are no number, or more than there are.
        """
        # Imported here: torch takes seconds, and a sweep that is done needs none of it.
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
        """What keeps a run's process to its devices and threads."""
        if not self.pins:
            return {}
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(name for name in chosen if name != CPU)}
        threads = self.cpus_per_run or (
            None if any(name in os.environ for name in THREADS) else self._share()
        )
        return gpus | ({} if threads is None else dict.fromkeys(THREADS, str(threads)))

    def _share(self) -> int:
        return max(1, len(os.sched_getaffinity(0)) // (len(self.names) * self.runs_per_gpu))


def one_at_a_time() -> Devices:
    """The whole machine for one run after the other."""
    return Devices([CPU], pins=False)


def find_gpus(wanted: str | int | Sequence[int | str] | None) -> list[str]:
    """The GPUs that `hydra.launcher.gpus` names, `all` of those visible, or the CPU where there are none.

    Raises:
        ConfigError: one is not there.
    """
    visible = visible_gpus()
    if wanted in (None, "all"):
        return visible or [CPU]
    asked = [str(w).strip() for w in (wanted.split(",") if isinstance(wanted, str) else _list(wanted))]
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
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name.strip() for name in given.split(",")][:count] if given else [str(i) for i in range(count)]


def _list(value: int | Sequence[int | str]) -> list[int | str]:
    return [value] if isinstance(value, int) else list(value)
