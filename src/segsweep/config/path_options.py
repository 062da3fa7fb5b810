"""Find the options of a dataset that are paths: arguments of its `__init__` annotated as `Path`."""

import ast
import re

from segsweep.config import groups as config_files
from segsweep.config.class_source import class_source


def path_options(target: str) -> frozenset[str]:
    """Return the path options of a class and its base classes; an empty set if it is not found."""
    return frozenset(
        argument.arg
        for found in class_source(target)
        for part in found.body
        if isinstance(part, ast.FunctionDef) and part.name == "__init__"
        for argument in (*part.args.args, *part.args.kwonlyargs)
        if argument.annotation and re.search(r"\bPath\b", ast.unparse(argument.annotation))
    )


def all_path_options() -> frozenset[str]:
    """Return the path options of all datasets that the configuration names."""
    nodes = [config_files.read(file).get("dataset") or {} for _, file in config_files.files("dataset")]
    return frozenset[str]().union(*(path_options(str(node.get("_target_"))) for node in nodes))
