"""What Hydra and OmegaConf say of a wrong argument, in one line with near matches."""

import re

from segsweep.errors import ConfigError, near
from segsweep.runs.config import files as config_files


def explain(error: Exception) -> ConfigError:
    """The error as the user should read it."""
    if isinstance(error.__cause__, ConfigError):  # a launcher's own, which Hydra made
        return ConfigError(str(error.__cause__))  # a new one: it will be raised from `error`
    text = " ".join(str(part) for part in (error, error.__cause__) if part is not None)
    for pattern, tell in _KINDS:
        match = pattern.search(text)
        if match:
            return ConfigError(tell(*match.groups()))
    return ConfigError(" ".join(str(error).split("\n")[:2]).strip())


def _unknown_choice(group: str, choice: str) -> str:
    return f"{group}={choice}: no such choice; {near(choice, config_files.choices(group))}"


def _unknown_group(group: str) -> str:
    return f"{group}: no such axis; {near(group, config_files.GROUPS)}"


def _unknown_key(key: str) -> str:
    group, _, option = key.rpartition(".")
    if group == "hydra.launcher":
        known = config_files.options("hydra/launcher")
        return f"{key}: the launcher chosen here has no such option; {near(option, known)}"
    if not group:
        homes = [f"{g}.{key}" for g in config_files.GROUPS if key in config_files.options(g)]
        known = config_files.options("") | set(config_files.GROUPS)
        return f"{key}: no such option; {f'did you mean {homes[0]}?' if homes else near(key, known)}"
    axis, *choice = group.split(".")
    if axis == "test" and choice:
        return f"{key}: {_unknown_in_test(choice[0], option)}"
    part = ".".join(choice)
    if part and any(config_files.own_options(axis, n).get(part) == {} for n in config_files.choices(axis)):
        return f"{key}: {group} is empty by default; add to it with a plus, +{key}=…"
    having = [name for name in config_files.choices(group) if option in config_files.own_options(group, name)]
    if having:
        return f"{key}: the {group} chosen here has no such option; {' and '.join(having)} have it"
    return f"{key}: no {group} has such an option; {near(option, config_files.options(group))}"


def _unknown_in_test(name: str, option: str) -> str:
    """What is wrong with `test.NAME.option`: the name, the option, or that the test is not chosen."""
    tests = config_files.choices("test")
    if name not in tests:
        return f"no such test; {near(name, tests)}"
    known = config_files.own_options(f"test.{name}", name)
    if option not in known:
        return f"a test has no such option; {near(option, known)}"
    return f"{name} is not among the chosen tests; add it, as test=[{name}]"


def _no_override(argument: str) -> str:
    return f"{argument}: expected key=value, quoted where it holds brackets or spaces"


_KINDS = (
    (re.compile(r"Could not (?:find|load) '([\w-]+)/([^']+)'"), _unknown_choice),
    (re.compile(r"Could not override '([^']+)'\.\s*No match in the defaults list"), _unknown_group),
    (re.compile(r"Could not override '([^']+)'"), _unknown_key),
    (re.compile(r"[Ee]rror parsing override '([^']+)'"), _no_override),
)
