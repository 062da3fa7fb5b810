"""What stands between quotation marks beside a paper's name is in that paper."""

import ast
import re

import pytest

from segsweep.config.groups import root
from tests.shared import shared

PLACES = ("conf/**/*.yaml", "experiments/**/*.yaml", "docs/papers.md", "src/segsweep/networks/**/*.py",
          "src/segsweep/training/*.py")  # fmt: skip


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower().replace("×", "x")))


def prose(name: str, text: str) -> str:
    """Comments of YAML, docstrings of Python, all of a page."""
    if name.endswith(".py"):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        return "\n".join(
            ast.get_docstring(n) or "" for n in ast.walk(ast.parse(text)) if isinstance(n, kinds)
        )
    lines = text.splitlines()
    return "\n".join(line.strip("# ") for line in lines if name.endswith(".md") or line.startswith("#"))


@pytest.mark.parametrize("place", PLACES)
def test_quotations_are_the_papers_own(place):
    papers = words(
        " ".join(file.read_text() for file in sorted(shared("papers/ksac.txt").parent.glob("*.txt")))
    )
    wrong = []
    for file in sorted(root().glob(place)):
        text = re.sub("`[^`]*`", "", prose(file.name, file.read_text()).replace("\n", " "))  # code aside
        for quoted in re.findall(r'"([^"]{4,200})"', text):
            if len(quoted.split()) > 1 and words(quoted) not in papers:
                wrong.append((file.name, quoted))
    assert wrong == []
