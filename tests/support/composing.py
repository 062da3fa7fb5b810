"""Compose configurations as the command line does, without running anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from segsweep.config.groups import root
from segsweep.planning.composer import Composer
from segsweep.planning.plan import Member, planned, resolve


@contextmanager
def configuration() -> Iterator[None]:
    """Hydra over the shipped configuration."""
    with initialize_config_dir(str(root() / "conf"), version_base="1.3"):
        yield


@contextmanager
def composing() -> Iterator[Composer]:
    """The composer of a sweep over the shipped configuration."""
    with configuration():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        composed = hydra.compose_config("config", [], run_mode=RunMode.MULTIRUN)
        yield Composer(hydra.config_loader, composed)


def member(*overrides: str) -> Member:
    """The planned run of some overrides."""
    with configuration():
        return composed(*overrides)


def composed(*overrides: str) -> Member:
    """The same, within `configuration`."""
    config = compose("config", list(overrides), return_hydra_config=True)
    choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    return planned(resolve(config), choices, overrides)
