"""The options of a sweep as a whole."""

from collections.abc import Mapping
from typing import Any

from segsweep.errors import ConfigError, near
from segsweep.sweeps.early_stop import RULES

ON_FAILURE = ("continue", "stop")


def check_options(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where an option of the sweep has no such value."""
    for name, known in (("on_failure", ON_FAILURE), ("early_stop", RULES)):
        value = config[name]
        if value not in known and not (name == "early_stop" and value is None):
            raise ConfigError(f"{name}={value}: {near(str(value), known)}")
    if config["retries"] < 0:
        raise ConfigError(f"retries={config['retries']}: expected 0 or more")
