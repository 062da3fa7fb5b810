"""docs/commands, which benchmarks/command_pages.py makes from the commands' help."""

import inspect
import re
from importlib import import_module

import pytest

from benchmarks import command_pages
from segsweep import cli
from segsweep.evaluation.strategies import Strategy


def test_there_is_a_page_for_each_command():
    assert {file.name for file in command_pages.FOLDER.glob("*")} == {f"{name}.md" for name in cli.COMMANDS}
    index = command_pages.INDEX.read_text()
    assert command_pages.indexed(index) == index, "python -m benchmarks.command_pages renews the list"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_page_says_what_the_help_says(name):
    text = (command_pages.FOLDER / f"{name}.md").read_text()
    assert command_pages.pages()[f"{name}.md"] == text, "python -m benchmarks.command_pages renews the pages"
    words = re.findall(r"\S+", re.sub(r"{\w+}", "", import_module(f"segsweep.commands.{name}").HELP))
    assert [word for word in words if word.casefold() not in text.casefold()] == []


def test_one_page_has_the_axes_and_options_and_the_others_refer_to_it():
    made = command_pages.pages()
    assert [name for name, text in made.items() if "  backbone=" in text] == ["train.md"]
    assert "(train.md)" in made["plan.md"]
    assert "## segsweep runs gc" in made["runs.md"]


def test_the_help_of_train_names_every_option_of_a_test():
    (line,) = re.findall(r"^  test\.NAME\.…: (.*)$", command_pages.pages()["train.md"], re.MULTILINE)
    assert line.split() == list(inspect.signature(Strategy).parameters)
