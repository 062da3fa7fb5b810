"""What Hydra and OmegaConf say of a wrong argument, in one line with near matches."""

import re

from segsweep.errors import ConfigError, near
from segsweep.runs import config_files


def explain(error: Exception) -> ConfigError:
    """The error as the user should read it."""
    text = " ".join(str(part) for part in (error, error.__cause__) if part is not None)
    for pattern, tell in ((_CHOICE, _unknown_choice), (_KEY, _unknown_key), (_GROUP, _unknown_group)):
        match = pattern.search(text)
        if match:
            return ConfigError(tell(*match.groups()))
    return ConfigError(" ".join(str(error).split("\n")[:2]).strip())


_CHOICE = re.compile(r"Could not (?:find|load) '([\w-]+)/([^']+)'")
_KEY = re.compile(r"Could not override '([^']+)'")
_GROUP = re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list")


def _unknown_choice(group: str, choice: str) -> str:
    return f"{group}={choice}: no such choice; {near(choice, config_files.choices(group))}"


def _unknown_group(group: str) -> str:
    return f"{group}: no such axis; {near(group, config_files.GROUPS)}"


def _unknown_key(key: str) -> str:
    group, _, option = key.rpartition(".")
    known = config_files.options(group)
    if not group:
        return f"{key}: no such option; {near(key, known | set(config_files.GROUPS))}"
    return f"{key}: the {group} chosen here has no option {option}; {near(option, known)}"
