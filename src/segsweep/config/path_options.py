"""Find the options of a dataset that are paths: arguments of its `__init__` annotated as `Path`.

They are read from the source text, because importing the class needs torch and may run untrusted code.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

from segsweep.config import groups as config_files


def path_options(target: str) -> frozenset[str]:
    """Return the path options of a class and its base classes; an empty set if it is not found."""
    return _declared(target, Path.cwd())


def all_path_options() -> frozenset[str]:
    """Return the path options of all datasets that the configuration names."""
    nodes = [config_files.read(file).get("dataset") or {} for _, file in config_files.files("dataset")]
    return frozenset[str]().union(*(path_options(str(node.get("_target_"))) for node in nodes))


@cache
def _declared(target: str, working_folder: Path) -> frozenset[str]:
    module, _, name = target.rpartition(".")
    file = _source(module, working_folder)
    try:
        tree = ast.parse(file.read_text()) if file else ast.Module([], [])
    except (OSError, ValueError, SyntaxError):
        return frozenset()
    names = _imports(tree, module if file and file.name == "__init__.py" else module.rpartition(".")[0])
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        return _declared(names[name], working_folder) if name in names else frozenset()
    found = {
        argument.arg
        for part in classes[name].body
        if isinstance(part, ast.FunctionDef) and part.name == "__init__"
        for argument in (*part.args.args, *part.args.kwonlyargs)
        if argument.annotation and re.search(r"\bPath\b", ast.unparse(argument.annotation))
    }
    for base in map(ast.unparse, classes[name].bases):
        first, _, rest = base.partition(".")
        own = f"{module}.{first}" if first in classes and first != name else first
        found |= _declared(".".join(filter(None, (names.get(first, own), rest))), working_folder)
    return frozenset(found)


def _source(module: str, working_folder: Path) -> Path | None:
    """Return the file of a module without importing the module or its packages; None if not found."""
    folders = (config_files.PACKAGE.parent, working_folder, *map(Path, sys.path))
    path = module.replace(".", "/")
    files = (folder / file for folder in folders for file in (f"{path}.py", f"{path}/__init__.py"))
    return next((file for file in files if module and file.is_file()), None)


def _imports(tree: ast.Module, package: str) -> dict[str, str]:
    """Return the full names of a module's imports, by their local names."""
    names = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join(filter(None, (*above, node.module)))
            names.update({alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names})
    return names
