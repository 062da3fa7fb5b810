"""Whether the classes that a run folder names may be built: the folder may come from somebody else.

A configuration file names classes and functions with their arguments, so whoever builds what a file names
runs the code of whoever wrote the file. Built are

1. what segsweep ships in its own configuration, and optimizers, schedules and transforms of the libraries
   that it is made for;
2. what the user named: on the command line that plans or tests the run, which hands the names on to the
   processes that execute it, or in their own configuration folder;
3. what is defined in the user's working folder, but not in a folder of runs.

A name is looked at before it is imported, as an import runs code too, and again when it is, as a name may
lead anywhere (`my_head.os.system`). Nothing in the run folder has a say in this: not its plan either.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from segsweep import build
from segsweep.data.extra import import_albumentations
from segsweep.errors import ConfigError
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import configured, named, shipped


def check(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """See that a run's configuration names nothing but what may be built.

    Raises:
        ConfigError: it names something else.
    """
    known = {*shipped(), *configured(), *folder.allowed}
    for key, target in named(config):
        if not isinstance(target, str) or not (
            target in known or _is_of_a_library(target) or _is_of_the_working_folder(target, folder)
        ):
            raise ConfigError(
                f"run {folder.id}: {key}={target} is neither segsweep's nor of your conf/ or working folder, "
                "so it is not built, as the run may come from somebody else; if you trust it, add trust=true"
            )


def _is_of_a_library(target: str) -> bool:
    """Whether it is a class of the few kinds that are built from other packages, whatever it is called."""
    if target.startswith("torch.optim."):
        from torch.optim import Optimizer
        from torch.optim.lr_scheduler import LRScheduler

        return _is_subclass(target, "torch", (Optimizer, LRScheduler))
    if target.startswith("albumentations."):
        library = import_albumentations()
        return _is_subclass(target, "albumentations", (library.BasicTransform, library.BaseCompose))
    return False


def _is_subclass(target: str, package: str, bases: tuple[type, ...]) -> bool:
    found = build.find(target)
    return isinstance(found, type) and issubclass(found, bases) and found.__module__.split(".")[0] == package


def _is_of_the_working_folder(target: str, folder: RunFolder) -> bool:
    """Whether it is a class or function that is defined in a module of the working folder."""
    if not _is_own(_module_file(target.split(".")[:-1]), folder):
        return False
    build.find_modules_of_the_working_folder()
    found = build.find(target)
    name = getattr(found, "__module__", None)
    if not callable(found) or not isinstance(name, str) or name not in sys.modules:
        return False
    file, loaded = _module_file(name.split(".")), getattr(sys.modules[name], "__file__", None)
    return loaded is not None and _is_own(file, folder) and Path(loaded).resolve() == file.resolve()


def _module_file(names: list[str]) -> Path | None:
    """The file of a module of the working folder, found without importing it; None where there is none.

    The last names may be those of a class, and of one within it.
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


def _is_own(file: Path | None, folder: RunFolder) -> TypeGuard[Path]:
    """Whether a file lies in the working folder, and in no folder of runs: those may have been received."""
    here, runs_dir = Path.cwd().resolve(), folder.path.parent.resolve()
    if file is None or not file.resolve().is_relative_to(here):
        return False
    above = [parent for parent in file.resolve().parents if parent.is_relative_to(here)]
    in_a_run = any(layout.is_run(parent) for parent in above)
    return not in_a_run and (runs_dir == here or runs_dir not in above)
