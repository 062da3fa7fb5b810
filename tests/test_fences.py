"""Private names of libraries that segsweep uses: each is listed, is there, and is held by an upper bound.

A private name may go or change in any release. `FENCED` says what to do then; a failing test adds the
files and lines to mend.
"""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import segsweep
from segsweep.config.groups import root
from segsweep.data.extra import with_ignored_fill
from segsweep.errors import UserError

FILES = sorted(Path(segsweep.__file__).parents[1].rglob("*.py"))

# Import names, and the distributions that they come with.
LIBRARIES = {
    "hydra": "hydra-core", "omegaconf": "omegaconf", "pytorch_lightning": "pytorch-lightning",
    "lightning_fabric": "pytorch-lightning", "torch": "torch", "torchvision": "torchvision",
    "torchmetrics": "torchmetrics", "timm": "timm", "wandb": "wandb", "albumentations": "albumentations",
}  # fmt: skip

# Modules without an underscore that their libraries document nowhere.
UNDOCUMENTED = ("hydra.core.plugins", "hydra.core.override_parser", "wandb.proto")

# A private name, and what to use instead if it or something in it is gone.
FENCED = {
    "hydra._internal.callbacks.Callbacks":
        "give HydraContext what hydra.types says it takes",
    "hydra._internal.config_loader_impl.ConfigLoaderImpl":
        "set an override's value with OmegaConf.update, and delete or add a key as Hydra does",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper":
        "take itertools.product over each override's sweep_string_iterator()",
    "hydra._internal.hydra.Hydra":
        "compose with hydra.core.config_loader, and print what --cfg and --info ask for",
    "hydra._internal.utils.create_config_search_path": "see hydra.initialize_config_dir",
    "hydra._internal.utils.get_args_parser": "write the flags of hydra.main's parser out",
    "hydra.core.override_parser": "find where Hydra parses overrides now; its own command line does",
    "hydra.core.plugins.Plugins": "instantiate config.hydra.launcher and call its setup",
    "omegaconf._utils.OmegaConfDumper": "quote strings that YAML would read as numbers",
    "torch._dynamo": "see how torch.compiler sets the limit of recompilations, and what it raises",
    "torch._foreach_add_": "add to each tensor by itself",
    "torch._foreach_lerp_": "call each tensor's own lerp_",
    "torch._inductor.aoti_compile_and_package": "see where torch documents AOTInductor now",
    "torch._inductor.aoti_load_package": "see where torch documents AOTInductor now",
    "torch._meta_registrations": "record a max pooling without it, and see which sizes the program refuses",
    "torch.nn.modules.batchnorm._BatchNorm": "name its subclasses: nn.BatchNorm1d and the others",
    "torch.nn.modules.batchnorm._NormBase": "override whatever checks the number of axes now",
    "torch.utils._python_dispatch.TorchDispatchMode": "see what torch.utils.flop_counter uses",
    "torch.utils._pytree": "use torch.utils.pytree, or optree",
    "wandb.proto.wandb_internal_pb2": "find where wandb sync takes the type of a .wandb file's records from",
}  # fmt: skip

# Private attributes of a library's objects, with the class that has them, and what to do without.
OF_OBJECTS = {
    "_log_artifact": (
        "wandb.Run",
        "see what wandb's use_artifact does with a new artifact; offline it may raise no longer",
    ),
    "_cdata": (
        "torch.UntypedStorage",
        "tell storages apart by data_ptr(), which the meta device must then give",
    ),
    "_forward_hooks": (
        "torch.nn.Module",
        "fold no BatchNorm of a network that has hooks; look how timm finds them",
    ),
    "_forward_pre_hooks": ("torch.nn.Module", "as for _forward_hooks"),
    "_return_value": (
        "hydra.core.utils.JobReturn",
        "see how Hydra's launchers hand over what a job returned",
    ),
}
OF_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, as documented for named tuples

# Functions among the fenced names, with the parameters that they are called with.
PARAMETERS = {
    "hydra._internal.config_loader_impl.ConfigLoaderImpl._apply_overrides_to_config": ("overrides", "cfg"),
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper.split_arguments": (
        "overrides",
        "max_batch_size",
    ),
    "hydra._internal.config_loader_impl.ConfigLoaderImpl.validate_sweep_overrides_legal": (
        "overrides",
        "run_mode",
        "from_shell",
    ),
    "hydra._internal.utils.create_config_search_path": ("search_path_dir",),
    "hydra._internal.utils.get_args_parser": (),
    "hydra.core.override_parser.overrides_parser.OverridesParser.create": ("config_loader",),
    "omegaconf._utils.OmegaConfDumper.str_representer": ("dumper", "data"),
    "torch._dynamo.reset": (),
    "torch.nn.modules.batchnorm._NormBase._check_input_dim": ("self", "input"),
    "torch.utils._pytree.tree_iter": ("tree", "is_leaf"),
}


class Uses(ast.NodeVisitor):
    """The private names of libraries that one file uses, with their lines."""

    def __init__(self, file: Path) -> None:
        self.found: list[tuple[str, int]] = []
        self.of_objects: list[tuple[str, int]] = []  # private attributes of what is not self
        self.names: dict[str, str] = {}  # what a name of the file stands for
        self.visit(ast.parse(file.read_text()))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            first = alias.name.split(".")[0]
            self.names[alias.asname or first] = alias.name if alias.asname else first
            self._note(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            self._note(f"{node.module}.{alias.name}", node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if full := self._full(node):
            self._note(full, node.lineno)
            return
        if is_private(node.attr) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            self.of_objects.append((node.attr, node.lineno))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """`getattr(x, "_name")` and its like."""
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr", "hasattr", "delattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                self.of_objects.append((str(name.value), node.lineno))
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A private method of a library's class that a subclass here overrides, on purpose or not."""
        bases = [full for base in node.bases if (full := self._full(base))]
        for method in (item for item in node.body if isinstance(item, ast.FunctionDef)):
            if is_private(method.name):
                for base in filter(is_of_a_library, bases):
                    if owner := owner_of(base, method.name):
                        self._note(f"{owner}.{method.name}", method.lineno)
        self.generic_visit(node)

    def _full(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Attribute) and (inside := self._full(node.value)):
            return f"{inside}.{node.attr}"
        return self.names.get(node.id) if isinstance(node, ast.Name) else None

    def _note(self, name: str, line: int) -> None:
        private = any(map(is_private, name.split("."))) or name.startswith(UNDOCUMENTED)
        if is_of_a_library(name) and private:
            self.found.append((name, line))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def is_of_a_library(name: str) -> bool:
    return name.split(".")[0] in LIBRARIES


def resolve(name: str) -> Any:
    """The object of a dotted name; AttributeError or ImportError if there is none."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def owner_of(base: str, method: str) -> str | None:
    """The class among a base and its bases that the method may be said to be of; None if none has it."""
    classes = [one for one in resolve(base).__mro__ if hasattr(one, method)]
    return f"{classes[-1].__module__}.{classes[-1].__name__}" if classes else None


@cache
def uses_of(file: Path) -> Uses:
    return Uses(file)


@cache
def uses() -> dict[str, list[str]]:
    """The places of each private name that the source uses; a longer name stands for those that begin it."""
    found: dict[str, list[str]] = {}
    for file in FILES:
        for name, line in uses_of(file).found:
            found.setdefault(name, []).append(f"{file.relative_to(root())}:{line}")
    return found


def fence_of(name: str) -> str | None:
    """The entry that a use falls under."""
    return next((fence for fence in FENCED if name == fence or name.startswith(f"{fence}.")), None)


def defined(file: Path) -> Iterator[str]:
    """Names of functions, and of attributes that are set, in a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def requirements() -> dict[str, Requirement]:
    """What pyproject.toml asks for, extras included, by name."""
    project = tomllib.loads((root() / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return {requirement.name: requirement for lines in lists for requirement in map(Requirement, lines)}


def test_every_private_name_in_the_source_is_fenced():
    outside = {name: places for name, places in uses().items() if fence_of(name) is None}
    assert not outside, "take a public name instead, or add it to FENCED with what to do when it is gone"


def test_every_fence_has_a_use():
    assert FENCED.keys() - {fence_of(name) for name in uses()} == set()
    assert PARAMETERS.keys() - uses().keys() == set()


def test_private_attributes_of_objects_are_our_own_or_fenced():
    """What is reached through an object has no import to know it by: `trainer._data_connector`."""
    known = {*OF_OBJECTS, *OF_TUPLES, *(name for file in FILES for name in defined(file))}
    found = [
        f"{file.relative_to(root())}:{line}: {name}"
        for file in FILES
        for name, line in uses_of(file).of_objects
        if name not in known
    ]
    assert found == [], "take a public name instead"


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_a_fenced_attribute_is_there(name):
    of, remedy = OF_OBJECTS[name]
    places = [
        f"{file.relative_to(root())}:{line}"
        for file in FILES
        for used, line in uses_of(file).of_objects
        if used == name
    ]
    assert places, f"{name} is used no more: take it out"
    owner = resolve(of)
    assert hasattr(owner, name) or name in inspect.get_annotations(owner), (
        f"{of}.{name} is gone; mend {', '.join(places)}: {remedy}"
    )


@pytest.mark.parametrize("fence", FENCED)
def test_a_fenced_name_is_there_with_its_parameters(fence):
    for name, places in uses().items():
        if fence_of(name) != fence:
            continue
        where = f"mend {', '.join(places)}: {FENCED[fence]}"
        try:
            found = resolve(name)
        except (ImportError, AttributeError):
            pytest.fail(f"{name} is gone; {where}")
        if name in PARAMETERS:
            parameters = inspect.signature(found).parameters
            assert tuple(parameters) == PARAMETERS[name], f"{name} takes other parameters; {where}"


def test_libraries_with_fenced_names_have_an_upper_bound():
    for library in {LIBRARIES[fence.split(".")[0]] for fence in FENCED}:
        asked = requirements()[library].specifier
        assert any(bound.operator in ("<", "<=", "==", "~=") for bound in asked), library
        assert version(library) in asked, f"{library} {version(library)} is not what pyproject.toml asks for"


def test_lightning_and_its_malware_are_out():
    """We depend on pytorch-lightning alone; 2.6.2 and 2.6.3 of lightning ran a thief's code on import."""
    asked = requirements()
    assert {"lightning", "albumentationsx"}.isdisjoint(name.lower() for name in asked)
    lines = (
        line for line in (root() / "constraints.txt").read_text().splitlines() if line[:1] not in ("", "#")
    )
    held = {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}
    for bad in ("2.6.2", "2.6.3"):
        assert bad not in held["lightning"]
        assert bad not in asked["pytorch-lightning"].specifier
    assert "2.6.4" in held["lightning"], "the rest may be installed beside segsweep"


def test_albumentationsx_is_not_imported(tmp_path, monkeypatch):
    fake = tmp_path / "albumentationsx-2.0.14.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: albumentationsx\nVersion: 2.0.14\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="pip uninstall albumentationsx") as found:
        with_ignored_fill([{"_target_": "albumentations.HorizontalFlip"}])
    assert "AlbumentationsX 2.0.14" in str(found.value)
    assert "\n" not in str(found.value)
    assert with_ignored_fill([{"_target_": "my_transforms.Own"}]), "nothing of albumentations is needed here"
