"""docs/faq.md: the commands that it names exist, with the options that it gives them, and so do its tests."""

import re

import pytest

from segsweep import cli
from segsweep.config.groups import root
from segsweep.errors import OptionError
from segsweep.planning.compose import compose

TEXT = (root() / "docs" / "faq.md").read_text()
CODE = re.findall(r"`([^`]+)`", re.sub(r"\n(?!\n)", " ", TEXT))


def test_its_tests_are_there():
    named = [code.partition("::") for code in CODE if code.startswith("tests/")]
    assert len(named) >= 40
    missing = [
        f"{file}::{test}"
        for file, _, test in named
        if f"def {test}" not in ((root() / file).read_text() if (root() / file).is_file() else "")
    ]
    assert missing == []


def test_its_commands_and_options_are_there():
    pages = {page.stem: page.read_text() for page in (root() / "docs" / "commands").glob("*.md")}
    known = "\n".join(pages.values())
    for code in CODE:
        if code.startswith("segsweep "):
            assert code.split()[1] in cli.COMMANDS, code
        for key in re.findall(r"(?<![\w.])\+?([a-z_]+(?:[./][a-z_]+)*)=", code):
            group, _, option = key.rpartition(".")
            if group.startswith(("hydra", "stages")):
                continue
            assert re.search(rf"\b{option or key}\b", known), f"{key} in {code}"


def test_a_small_number_is_a_number_and_a_word_is_refused(tmp_path, monkeypatch):
    own = tmp_path / "conf" / "experiments" / "own.yaml"
    own.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    own.write_text("# @package _global_\noptimizer: {lr: 1e-3}\n")
    assert compose("plan", ["+experiments=own"])[0].config.optimizer["lr"] == pytest.approx(0.001)
    own.write_text("# @package _global_\noptimizer: {lr: fast}\n")
    with pytest.raises(OptionError, match=r"optimizer.lr=fast: expected a number, such as 0.01"):
        compose("plan", ["+experiments=own"])
