"""Where Hydra looks for plugins: it takes no launcher that lives elsewhere.

The work is done in segsweep.sweeps; here is only what makes it known to Hydra, under the name `segsweep`.
"""

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
    """Adds the user's own configuration and the experiments to what Hydra searches."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append, so that a shipped name keeps its meaning."""
        # Hydra asks the plugins of all applications: the search path may be another application's.
        if any(entry.path == str(folders()[0]) for entry in search_path.get_path()):
            for folder in folders()[1:]:
                search_path.append(provider="segsweep", path=f"file://{folder}")
            # If Hydra's launcher for Slurm is installed, its options would be taken as the schema of ours.
            ConfigStore.instance().repo["hydra"]["launcher"].pop("submitit_slurm.yaml", None)


def _store(group: str, node: dict[str, Any]) -> None:
    ConfigStore.instance().store(group=f"hydra/{group}", name="segsweep", node=node, provider="segsweep")


_store("launcher", {"_target_": f"{__name__}.{SegsweepLauncher.__name__}"})
# Options alone: without a class, planning expands the axes itself (segsweep.planning.axes).
_store("sweeper", {"max_batch_size": None, "params": None, "rows": None})
