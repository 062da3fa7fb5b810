"""Decide which classes named by a run folder may be built: the folder may come from somebody else.

A configuration file names classes and functions with their arguments, so building them runs the code that the
file's author chose. Trusted are

1. targets in segsweep's own configuration, and optimizers, schedules and transforms of the libraries that it
   supports;
2. targets that the user named: on the command line that plans or tests the run, which passes the names on to
   the processes that execute it, or in their own configuration folder;
3. classes and functions defined in the user's working folder, but not in a folder of runs.

A name is checked before it is imported, because an import runs code, and again afterwards, because a name may
lead anywhere (`my_head.os.system`). Nothing in the run folder, not even its plan, can extend the trust.
"""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from segsweep import builders
from segsweep.data.extra import import_albumentations
from segsweep.errors import ConfigError
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import configured, named, shipped


def check(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Raise ConfigError if a run's configuration names a class or function that is not trusted."""
    check_named(config, folder.path, f"run {folder.id}", folder.allowed)


def check_named(
    config: Mapping[str, Any], place: Path, name: object, allowed: Collection[str] = frozenset()
) -> None:
    """Raise ConfigError if a configuration, found in the folder `place`, names what is not trusted.

    `name` is what the message calls it, `allowed` are the targets that the user named.
    """
    known = {*shipped(), *configured(), *allowed}
    for key, target in named(config):
        if not isinstance(target, str) or not (
            target in known or _is_of_a_library(target) or _is_of_the_working_folder(target, place)
        ):
            raise ConfigError(
                f"{name}: {key}={target} is neither segsweep's nor of your conf/ or working folder, "
                "so it is not built, as it may come from somebody else; if you trust it, add trust=true"
            )


def _is_of_a_library(target: str) -> bool:
    """Return whether it is one of the few kinds of classes that are built from other packages."""
    if target.startswith("torch.optim."):
        from torch.optim import Optimizer
        from torch.optim.lr_scheduler import LRScheduler

        return _is_subclass(target, "torch", (Optimizer, LRScheduler))
    if target.startswith("albumentations."):
        library = import_albumentations()
        return _is_subclass(target, "albumentations", (library.BasicTransform, library.BaseCompose))
    return False


def _is_subclass(target: str, package: str, bases: tuple[type, ...]) -> bool:
    found = builders.find(target)
    return isinstance(found, type) and issubclass(found, bases) and found.__module__.split(".")[0] == package


def _is_of_the_working_folder(target: str, place: Path) -> bool:
    """Return whether it is a class or function that is defined in a module of the working folder."""
    if not _is_own(_module_file(target.split(".")[:-1]), place):
        return False
    builders.find_modules_of_the_working_folder()
    found = builders.find(target)
    name = getattr(found, "__module__", None)
    if not callable(found) or not isinstance(name, str) or name not in sys.modules:
        return False
    file, loaded = _module_file(name.split(".")), getattr(sys.modules[name], "__file__", None)
    return loaded is not None and _is_own(file, place) and Path(loaded).resolve() == file.resolve()


def _module_file(names: list[str]) -> Path | None:
    """Find the file of a module of the working folder without importing it; None if there is none.

    The last names may be those of a class and of another within it.
    """
    place = Path.cwd()
    if not names:
        return None
    for name in names:
        if not name.isidentifier():
            return None
        if (place / name).is_dir():
            place /= name
        else:
            place = place / f"{name}.py"
            break
    file = place / "__init__.py" if place.is_dir() else place
    return file if file.is_file() else None


def _is_own(file: Path | None, place: Path) -> TypeGuard[Path]:
    """Return whether a file is in the working folder, but not in `place` or in a folder of runs.

    What lies there may be received from somebody else.
    """
    here, received, runs_dir = Path.cwd().resolve(), place.resolve(), place.parent.resolve()
    if file is None or not file.resolve().is_relative_to(here):
        return False
    above = [parent for parent in file.resolve().parents if parent.is_relative_to(here)]
    in_a_run = any(parent == received or layout.is_run(parent) for parent in above)
    return not in_a_run and (runs_dir == here or runs_dir not in above)
