"""Hydra's and OmegaConf's errors about an argument as ours, with the names that are close to a wrong one.

The only place where messages are parsed: theirs have no fields.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, OptionError, near

NO_CHOICE = re.compile(r"Could not (?:find|load) '([\w-]+)/([^']+)'")
NO_GROUP = re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list")
NO_KEY = re.compile(r"Could not override '([^']+)'")
SEVERAL = re.compile(r"Ambiguous value for argument '([^']+)'")
NOT_PARSED = re.compile(r"[Ee]rror parsing override '([^']+)'")


@contextmanager
def explained() -> Iterator[None]:
    """Have errors of Hydra and OmegaConf raised as ours, or as they are with HYDRA_FULL_ERROR.

    Raises:
        ConfigError: what they have against the arguments.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise explain(error) from error


def explain(error: Exception) -> ConfigError:
    """Return the error as the user should read it."""
    if isinstance(error.__cause__, ConfigError):  # a launcher's own, which Hydra made
        return copy(error.__cause__)  # which will be raised from `error`: no circle of causes
    if isinstance(error, OverrideParseException):
        return _not_parsed(error.override)
    text = " ".join(str(part) for part in (error, error.__cause__) if part is not None)
    if found := NO_CHOICE.search(text):
        group, choice = found.groups()
        return OptionError(group, choice, problem="no such choice", near=config_files.choices(group))
    if found := NO_GROUP.search(text):
        if found[1].startswith("hydra/"):
            return OptionError(found[1], problem="Hydra has no such group")
        return OptionError(found[1], problem="no such axis", near=config_files.GROUPS)
    if found := NO_KEY.search(text):
        return _unknown_key(found[1])
    if found := SEVERAL.search(text):
        key, _, values = found[1].partition("=")
        remedy = f"add -m to sweep over them, or write '{key}=[{values}]' for one list"
        return OptionError(key, values, problem="several values", remedy=remedy)
    if found := NOT_PARSED.search(text):
        return _not_parsed(found[1])
    return ConfigError(" ".join(str(error).split("\n")[:2]).strip())


def _unknown_key(key: str) -> OptionError:
    """An option that the composed configuration does not have."""
    group, _, option = key.rpartition(".")
    axis, *choice = group.split(".")
    part = ".".join(choice)
    if group == "hydra.launcher":
        known = config_files.options("hydra/launcher")
        return OptionError(key, problem="the launcher chosen here has no such option", near=known)
    if not group:
        known = config_files.options("") | set(config_files.GROUPS)
        return OptionError(key, problem="no such option", remedy=config_files.near_option(key, known))
    if axis not in (*config_files.GROUPS, "checkpoint", "hydra"):
        axes = [*config_files.GROUPS, "checkpoint"]
        return OptionError(key, problem=f"no such axis as {axis}", remedy=near(axis, axes))
    if axis == "callbacks":
        return OptionError(
            key, problem="no callback of this name is chosen", remedy=f"add it with a plus, +{key}=…"
        )
    if axis == "test" and choice:
        return _unknown_in_test(key, choice[0], option)
    if axis == "loss" and choice and choice[0] in ("terms", "weights"):
        return _unknown_in_sum(key, option if choice[0] == "weights" else part.partition(".")[2], option)
    if part and any(config_files.own_options(axis, n).get(part) == {} for n in config_files.choices(axis)):
        return OptionError(
            key, problem=f"{group} is empty by default", remedy=f"add to it with a plus, +{key}=…"
        )
    having = [name for name in config_files.choices(group) if option in config_files.own_options(group, name)]
    if having:
        *others, last = having
        who = f"{', '.join(others)} and {last} have it" if others else f"{last} has it"
        return OptionError(key, problem=f"the {group} chosen here has no such option", remedy=who)
    problem = f"no {group} has such an option"
    if option in config_files.options(""):
        return OptionError(key, problem=problem, remedy=f"it is the whole run's, give {option}=…")
    return OptionError(key, problem=problem, near=config_files.options(group))


def _unknown_in_test(key: str, name: str, option: str) -> OptionError:
    """What is wrong with `test.NAME.option`: the name, the option, or that the test is not chosen."""
    tests = config_files.choices("test")
    if name not in tests:
        return OptionError(key, problem="no such test", remedy=near(name, tests))
    known = config_files.own_options(f"test.{name}", name)
    if option not in known:
        return OptionError(key, problem="a test has no such option", near=known)
    return OptionError(
        key, problem=f"{name} is not among the chosen tests", remedy=f"add it, as test=[{name}]"
    )


def _unknown_in_sum(key: str, name: str, option: str) -> OptionError:
    """What is wrong with `loss.weights.NAME` or `loss.terms.NAME.option`, as for tests."""
    losses = config_files.choices("loss")
    if name not in losses:
        return OptionError(key, problem="no such loss", remedy=near(name, losses))
    known = config_files.own_options("loss", name)
    if option not in (name, *known):
        return OptionError(key, problem=f"{name} has no such option", near=known)
    remedy = f"add it, as loss=[cross_entropy,{name}]"
    return OptionError(key, problem=f"{name} is not among several chosen losses", remedy=remedy)


def _not_parsed(argument: str) -> OptionError:
    """An argument that Hydra's grammar does not take."""
    key, equals, value = argument.partition("=")
    if not (key and equals):
        return OptionError(argument, expected="key=value", remedy="segsweep train --help lists the keys")
    if "'" in value or '"' in value:
        return OptionError(key, value, f"key=value with whole quotation marks, as '{key}=\"…\"'")
    remedy = f"quote a value that holds =, spaces, brackets or commas, as '{key}=\"{value}\"'"
    return OptionError(key, value, remedy=remedy)
