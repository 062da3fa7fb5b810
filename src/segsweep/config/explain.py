"""What Hydra and OmegaConf say of a wrong argument, in one line with near matches."""

import re
from collections.abc import Iterable

from hydra.errors import OverrideParseException

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, near


def explain(error: Exception) -> ConfigError:
    """The error as the user should read it."""
    if isinstance(error.__cause__, ConfigError):  # a launcher's own, which Hydra made
        return ConfigError(str(error.__cause__))  # a new one: it will be raised from `error`
    if isinstance(error, OverrideParseException):
        return ConfigError(_not_parsed(error.override))
    text = " ".join(str(part) for part in (error, error.__cause__) if part is not None)
    for pattern, tell in _KINDS:
        match = pattern.search(text)
        if match:
            return ConfigError(tell(*match.groups()))
    return ConfigError(" ".join(str(error).split("\n")[:2]).strip())


def near_option(name: str, known: Iterable[str]) -> str:
    """Where an option of this name is, or names close to it, as a phrase for an error message."""
    homes = [f"{group}.{name}" for group in config_files.GROUPS if name in config_files.options(group)]
    return f"did you mean {homes[0]}?" if homes else near(name, known)


def _unknown_choice(group: str, choice: str) -> str:
    return f"{group}={choice}: no such choice; {near(choice, config_files.choices(group))}"


def _unknown_group(group: str) -> str:
    if group.startswith("hydra/"):
        return f"{group}: Hydra has no such group"
    return f"{group}: no such axis; {near(group, config_files.GROUPS)}"


def _unknown_key(key: str) -> str:
    group, _, option = key.rpartition(".")
    if group == "hydra.launcher":
        known = config_files.options("hydra/launcher")
        return f"{key}: the launcher chosen here has no such option; {near(option, known)}"
    if not group:
        known = config_files.options("") | set(config_files.GROUPS)
        return f"{key}: no such option; {near_option(key, known)}"
    axis, *choice = group.split(".")
    if axis not in (*config_files.GROUPS, "checkpoint", "hydra"):
        return f"{key}: no such axis as {axis}; {near(axis, [*config_files.GROUPS, 'checkpoint'])}"
    if axis == "test" and choice:
        return f"{key}: {_unknown_in_test(choice[0], option)}"
    part = ".".join(choice)
    if part and any(config_files.own_options(axis, n).get(part) == {} for n in config_files.choices(axis)):
        return f"{key}: {group} is empty by default; add to it with a plus, +{key}=…"
    having = [name for name in config_files.choices(group) if option in config_files.own_options(group, name)]
    if having:
        return f"{key}: the {group} chosen here has no such option; {_have(having)} it"
    if option in config_files.options(""):
        return f"{key}: no {group} has such an option; it is the whole run's, give {option}=…"
    return f"{key}: no {group} has such an option; {near(option, config_files.options(group))}"


def _have(names: list[str]) -> str:
    """Who has something, as the beginning of a sentence."""
    *others, last = names
    return f"{', '.join(others)} and {last} have" if others else f"{last} has"


def _unknown_in_test(name: str, option: str) -> str:
    """What is wrong with `test.NAME.option`: the name, the option, or that the test is not chosen."""
    tests = config_files.choices("test")
    if name not in tests:
        return f"no such test; {near(name, tests)}"
    known = config_files.own_options(f"test.{name}", name)
    if option not in known:
        return f"a test has no such option; {near(option, known)}"
    return f"{name} is not among the chosen tests; add it, as test=[{name}]"


def _not_parsed(argument: str) -> str:
    """An argument that Hydra's grammar does not take."""
    key, equals, value = argument.partition("=")
    if not (key and equals):
        return f"{argument}: expected key=value; segsweep train --help lists the keys"
    if "'" in value or '"' in value:
        return f"{argument}: expected key=value with whole quotation marks, as '{key}=\"…\"'"
    return f"{argument}: quote a value that holds =, spaces, brackets or commas, as '{key}=\"{value}\"'"


def _several(argument: str) -> str:
    key, _, values = argument.partition("=")
    return f"{argument}: several values; add -m to sweep over them, or write '{key}=[{values}]' for one list"


_KINDS = (
    (re.compile(r"Could not (?:find|load) '([\w-]+)/([^']+)'"), _unknown_choice),
    (re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list"), _unknown_group),
    (re.compile(r"Could not override '([^']+)'"), _unknown_key),
    (re.compile(r"Ambiguous value for argument '([^']+)'"), _several),
    (re.compile(r"[Ee]rror parsing override '([^']+)'"), _not_parsed),
)
"""The kinds of errors, by what they say."""
