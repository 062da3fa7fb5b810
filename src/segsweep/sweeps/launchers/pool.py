"""A pool: execute a sweep's runs on all GPUs of this machine, several at a time."""

from collections.abc import Sequence

from segsweep.errors import OptionError
from segsweep.planning.plan import Member
from segsweep.sweeps.devices import CPU, Devices, find_gpus
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.sweep import Sweep


class PoolLauncher(SweepLauncher):
    """hydra/launcher=pool; its options are described in conf/hydra/launcher/pool.yaml."""

    def __init__(
        self,
        gpus: str | int | Sequence[int] | None = "all",
        runs_per_gpu: int = 1,
        cpus_per_run: int | None = None,
        reuse: bool = False,
    ) -> None:
        super().__init__(reuse)
        for name, value in (("runs_per_gpu", runs_per_gpu), ("cpus_per_run", cpus_per_run)):
            if value is not None and (type(value) is not int or value < 1):
                raise OptionError(f"hydra.launcher.{name}", value, "a number of at least 1")
        self.devices = Devices(find_gpus(gpus), runs_per_gpu, cpus_per_run)

    def check(self, members: Sequence[Member]) -> None:
        """Raise ConfigError if a run wants more devices than the pool has."""
        if self.devices.names == [CPU]:
            super().check(members)
        for member in members:
            self.devices.wanted_by(member.config)

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Start each run as soon as devices are free."""
        self.work_locally(members, sweep, self.devices)
