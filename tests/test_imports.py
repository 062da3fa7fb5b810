"""Which room may import which: each one only rooms on floors below its own, wherever the import stands."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import segsweep

ROOT = Path(segsweep.__file__).parent

# From the top floor down. Rooms on one line are one floor, and know nothing of each other.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("reports",),
    ("profiling",),
    ("sweeps",),
    ("api",),
    ("planning",),
    ("inference",),
    ("execution",),
    ("builders",),
    ("training",),
    ("evaluation",),
    ("statistics",),
    ("distributed",),
    ("data",),
    ("networks",),
    ("runs",),
    ("config",),
    ("failures", "files", "rules", "terminal"),
    ("errors",),
    ("processes", "cores", "imports"),
    ("__init__",),
)
FLOOR = {room: height for height, rooms in enumerate(reversed(FLOORS)) for room in rooms}

# What these libraries are is known in these rooms alone.
KNOWN_IN = {
    "hydra": {"commands", "sweeps", "planning", "builders"},
    "pytorch_lightning": {"training", "execution", "distributed", "data"},
}

# Statistics are checked and read by people who know neither torch nor this project.
STATISTICS = {"numpy", "scipy", "segsweep"}


def modules() -> dict[str, Path]:
    """All modules of the package by their names below it: `runs.folder`; a package by its own, `runs`."""
    paths = {path.relative_to(ROOT).with_suffix(""): path for path in ROOT.rglob("*.py")}
    return {
        ".".join(name.parts[:-1] if name.name == "__init__" and name.parts[1:] else name.parts): path
        for name, path in paths.items()
    }


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The absolute names that a file imports, late imports included; `from a import b` is a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which room it is of"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def own(name: str) -> str | None:
    """The module of the package that an imported name is, or is of; None for other packages."""
    if name.split(".")[0] != "segsweep":
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or "__init__"


def room_of(module: str) -> str:
    return module.split(".")[0]


def arrows() -> dict[str, set[str]]:
    """Each module with the modules that it imports.

    The package's own file names the homes of its stable names for type checkers, and imports none of them.
    """
    return {
        module: {known for name in imported(path) if (known := own(name)) is not None} - {module}
        for module, path in MODULES.items()
        if module != "__init__"
    }


def test_every_room_has_its_floor():
    assert {room_of(module) for module in MODULES} == FLOOR.keys()


def test_a_room_imports_only_rooms_below_its_own():
    upward = [
        f"{module} imports {other}"
        for module, others in arrows().items()
        for other in others
        if room_of(module) != room_of(other) and FLOOR[room_of(module)] <= FLOOR[room_of(other)]
    ]
    assert not upward, "\n".join(sorted(upward))


def test_no_module_is_imported_by_what_it_imports():
    # A package's own file stands for its modules' names, not for what they are.
    graph = {m: {o for o in others if not m.startswith(f"{o}.")} for m, others in arrows().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", KNOWN_IN)
def test_a_library_is_known_in_its_rooms_alone(library):
    rooms = {
        room_of(module)
        for module, path in MODULES.items()
        for name in imported(path)
        if name.split(".")[0] == library
    }
    assert rooms <= KNOWN_IN[library]


def test_statistics_know_numpy_and_scipy_alone():
    libraries = {
        name.split(".")[0]
        for module, path in MODULES.items()
        if room_of(module) == "statistics"
        for name in imported(path)
    }
    assert libraries <= STATISTICS | sys.stdlib_module_names


def test_no_two_modules_have_one_name():
    """A command alone may be named as the room or the module below that does what it says."""
    named: dict[str, list[str]] = {}
    for module in MODULES:
        if room_of(module) != "commands":
            named.setdefault(module.rpartition(".")[2], []).append(module)
    assert {name: found for name, found in named.items() if len(found) > 1} == {}
