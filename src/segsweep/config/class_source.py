"""The source text of a class and its base classes, read without importing them.

An import needs torch, and may run untrusted code.
"""

import ast
import sys
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files


def class_source(target: str) -> tuple[ast.ClassDef, ...]:
    """Return a class and its base classes, itself first; those whose source is not found are left out."""
    return _class_source(target, Path.cwd())


def class_constant(target: str, name: str) -> Any:
    """Return a literal that a class body, or else a base class's, gives this name; None if there is none."""
    for found in class_source(target):
        for node in found.body:
            names = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            named = any(isinstance(each, ast.Name) and each.id == name for each in names)
            value = getattr(node, "value", None)
            if named and isinstance(value, ast.Constant):
                return value.value
    return None


@cache
def _class_source(target: str, working_folder: Path) -> tuple[ast.ClassDef, ...]:
    module, _, name = target.rpartition(".")
    file = _source(module, working_folder)
    try:
        tree = ast.parse(file.read_text()) if file else ast.Module([], [])
    except (OSError, ValueError, SyntaxError):
        return ()
    names = _imports(tree, module if file and file.name == "__init__.py" else module.rpartition(".")[0])
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        return _class_source(names[name], working_folder) if name in names else ()
    found = [classes[name]]
    for base in map(ast.unparse, classes[name].bases):
        first, _, rest = base.partition(".")
        own = f"{module}.{first}" if first in classes and first != name else first
        found += _class_source(".".join(filter(None, (names.get(first, own), rest))), working_folder)
    return tuple(found)


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
