"""What README.md, CONTRIBUTING.md and the Makefile promise.

A recipe of CONTRIBUTING.md is a section with files to write, changes of files, and commands. All recipes are
followed to the letter in one copy of the repository.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsweep.config.groups import root

# The last name in backticks on the line above a block is the file's.
BLOCK = re.compile(r"(?:`([\w./]+)`[^`\n]*\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {
    title: BLOCK.findall(text)
    for title, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", (root() / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
    )
    if "```" in text
}
COMMANDS = [
    (title, line)
    for title, blocks in RECIPES.items()
    for _, language, text in blocks
    if language == "sh"
    for line in text.replace("\\\n", " ").splitlines()
]


def change(file: Path, lines: list[str]) -> None:
    """Take out lines with a minus, and put each run of lines with a plus behind the line above it.

    A line with a minus or a blank is in the file once.
    """
    content = file.read_text()
    end = 0
    for line in lines:
        text = f"{line[1:]}\n"
        if not line.startswith("+"):
            assert f"\n{content}".count(f"\n{text}") == 1, f"{file.name} does not have {text!r} once"
            start = f"\n{content}".index(f"\n{text}")
            end = start + len(text)
        if line.startswith("-"):
            content, end = content[:start] + content[end:], start
        elif line.startswith("+"):
            content, end = content[:end] + text + content[end:], end + len(text)
    file.write_text(content)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the repository in which all recipes are followed."""
    there = tmp_path_factory.mktemp("copy")
    for name in ("src", "conf", "experiments", "tests", "benchmarks", ".mypy_cache"):
        if (root() / name).is_dir():
            shutil.copytree(root() / name, there / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root() / "pyproject.toml", there)
    for blocks in RECIPES.values():
        for name, language, text in blocks:
            if language == "diff":
                change(there / name, text.splitlines())
            elif language in ("python", "yaml"):
                assert not (there / name).exists(), f"{name} is there already"
                (there / name).write_text(text)
    return there


def call(copy: Path, *arguments: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=copy, env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-5000:]}\n{done.stderr[-3000:]}"


def test_recipes_can_be_followed_and_are_formatted(copy):
    assert len(RECIPES) >= 7
    call(copy, "ruff", "format", "--check", "src", "tests")
    call(copy, "ruff", "check", "src", "tests")


@pytest.mark.slow
def test_types_are_right_after_all_recipes(copy):
    call(copy, "mypy")


@pytest.mark.slow
@pytest.mark.parametrize(("title", "line"), COMMANDS)
def test_commands_of_a_recipe(copy, title, line):
    tool, *arguments = shlex.split(line)
    call(copy, tool, *arguments)


def test_the_map_in_readme_names_every_room():
    shown = re.findall(r"`([a-z_]+)/`", (root() / "README.md").read_text())
    rooms = {path.parent.name for path in (root() / "src" / "segsweep").glob("*/__init__.py")}
    assert rooms <= set(shown)


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in (root() / "docs").glob("*.md"))],
)
def test_files_that_a_page_names_are_there(page):
    text = (root() / page).read_text()
    made = {name for blocks in (*RECIPES.values(), BLOCK.findall(text)) for name, _, _ in blocks}
    named = set(re.findall(r"`([\w./]+/\w+\.(?:py|yaml))`", text))
    places = [root(), root() / "src" / "segsweep", root() / "src" / "segsweep" / "networks"]
    named -= {*made, "conf/experiments/NAME.yaml"}
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []


def test_every_target_of_the_makefile_is_phony_and_explained():
    """`make demo` works although a file of that name lies about, and `make help` lists it."""
    text = (root() / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()) == targets
    assert set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)) == targets


def test_git_ignores_what_the_makefile_makes():
    ignored = {line.strip("/") for line in (root() / ".gitignore").read_text().split()}
    made = re.search(r"^\trm -rf (.*)$", (root() / "Makefile").read_text(), re.MULTILINE)
    assert made is not None
    assert set(made[1].replace("$(VENV)", ".venv").split()) <= ignored
