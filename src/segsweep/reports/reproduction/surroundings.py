"""What two trainings of one run differ in besides their bits: code, packages, hardware, incidents."""

from typing import Any

from segsweep.runs import compare
from segsweep.runs.contents import Environment
from segsweep.runs.folder import RunFolder

Changes = dict[str, list[str]]
"""By kind: `code`, `packages`, `hardware`, `incidents`; each change as `torch 2.11 → 2.12`."""
HARDWARE = ("gpus", "cpus", "threads", "ranks", "host", "platform", "cuda")


def surroundings(old: RunFolder, new: RunFolder) -> Changes:
    """Return the differences between two runs' environments, and what happened to one of them.

    Without the environment.json of one of them the list of changes says so.
    """
    before, now = old.environment(), new.environment()
    incidents = _changes(_incidents(old), _incidents(new))
    incidents += [f"the old one's environment changed: {c}" for c in old.status().environment_changes]
    if before is None or now is None:
        missing = [f"{run.path}: no environment.json" for run in (old, new) if run.environment() is None]
        return {"code": missing, "packages": [], "hardware": [], "incidents": incidents}
    return {
        "code": _changes(_code(before), _code(now)),
        "packages": _changes(_packages(before), _packages(now)),
        "hardware": _changes(*({key: getattr(one, key) for key in HARDWARE} for one in (before, now))),
        "incidents": incidents,
    }


def _code(one: Environment) -> dict[str, Any]:
    return {
        "segsweep": one.packages.get("segsweep"),
        "git_commit": one.git_commit,
        "loss averaged over": one.loss_over,
    }


def _packages(one: Environment) -> dict[str, Any]:
    others = {name: version for name, version in one.packages.items() if name != "segsweep"}
    return {"python": one.python, **others}


def _incidents(run: RunFolder) -> dict[str, Any]:
    """Return what happened in a training that may have changed its bits."""
    status = run.status()
    remarks = {key: value for key, value in compare.remarks(run, status).items() if key != "adopted"}
    return {**remarks, "not deterministic": ", ".join(status.nondeterministic) or None}


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [f"{key} {_said(before.get(key))} → {_said(now.get(key))}" for key in keys]


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
