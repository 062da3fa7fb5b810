"""Where Hydra looks for plugins: it takes no launcher or sweeper that lives elsewhere.

The work is done in segsweep.runs; here is only what makes it known to Hydra, under the name `segsweep`.
"""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from segsweep.config.groups import folders
from segsweep.sweeps.launchers.base import SweepLauncher
from segsweep.sweeps.launchers.pool import PoolLauncher
from segsweep.sweeps.launchers.slurm import SlurmLauncher
from segsweep.sweeps.sweeper import PlanningSweeper


class SegsweepLauncher(SweepLauncher):
    """hydra/launcher=segsweep."""


class SegsweepPool(PoolLauncher):
    """hydra/launcher=pool."""


class SegsweepSlurm(SlurmLauncher):
    """hydra/launcher=submitit_slurm."""


class SegsweepSweeper(PlanningSweeper):
    """hydra/sweeper=segsweep."""


class SegsweepSearchPath(SearchPathPlugin):
    """Adds the user's own configuration and the experiments to what Hydra searches."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append, so that a shipped name keeps its meaning."""
        # Hydra asks every application's plugins: another one's search path is none of ours.
        if any(entry.path == str(folders()[0]) for entry in search_path.get_path()):
            for folder in folders()[1:]:
                search_path.append(provider="segsweep", path=f"file://{folder}")
            # Where Hydra's launcher for Slurm is installed, its options would be taken as the schema of ours.
            ConfigStore.instance().repo["hydra"]["launcher"].pop("submitit_slurm.yaml", None)


def _store(group: str, plugin: type, **options: Any) -> None:
    node = {"_target_": f"{__name__}.{plugin.__name__}", **options}
    ConfigStore.instance().store(group=f"hydra/{group}", name="segsweep", node=node, provider="segsweep")


_store("launcher", SegsweepLauncher)
_store("sweeper", SegsweepSweeper, max_batch_size=None, params=None, rows=None)
