"""Registration with Hydra, which accepts launchers from this package only; the code is in segsweep.sweeps."""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from segsweep.config.groups import folders
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.launchers.pool import PoolLauncher
from segsweep.sweeps.launchers.slurm import SlurmLauncher


class SegsweepLauncher(SweepLauncher):
    """hydra/launcher=segsweep."""


class SegsweepPool(PoolLauncher):
    """hydra/launcher=pool."""


class SegsweepSlurm(SlurmLauncher):
    """hydra/launcher=submitit_slurm."""


class SegsweepSearchPath(SearchPathPlugin):
    """Adds the user's own configuration and the experiments to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append, so that a shipped name keeps its meaning."""
        # Hydra calls the plugins of all applications: the search path may be another application's.
        if any(entry.path == str(folders()[0]) for entry in search_path.get_path()):
            for folder in folders()[1:]:
                search_path.append(provider="segsweep", path=f"file://{folder}")
            # If Hydra's own Slurm launcher is installed, its options would become the schema of ours.
            ConfigStore.instance().repo["hydra"]["launcher"].pop("submitit_slurm.yaml", None)


def _store(group: str, node: dict[str, Any]) -> None:
    ConfigStore.instance().store(group=f"hydra/{group}", name="segsweep", node=node, provider="segsweep")


_store("launcher", {"_target_": f"{__name__}.{SegsweepLauncher.__name__}", "reuse": False})
# Options alone: without a class, planning expands the axes itself (segsweep.planning.axes).
_store("sweeper", {"max_batch_size": None, "params": None, "rows": None, "systems": False})
