"""docs/tutorial.md: each of its steps, in order, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from segsweep import cli
from segsweep.config.groups import root
from tests.support.commands import environment

# The last name in backticks on the line above a block of YAML is the file's.
BLOCK = re.compile(r"(?:`([\w./]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((root() / "docs" / "tutorial.md").read_text())


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with segsweep on the path as a shell finds it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    segsweep = tmp_path / "bin" / "segsweep"
    segsweep.parent.mkdir()
    segsweep.write_text(f'#!/bin/sh\nexec {sys.executable} -m segsweep "$@"\n')
    segsweep.chmod(0o755)
    monkeypatch.setenv("PATH", f"{segsweep.parent}:{os.environ['PATH']}")
    return folder


def call(*command: str) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def test_its_folder_is_understood_and_its_commands_are_right(place, capfd):
    """Without training: what a training command would do is planned instead."""
    checks = 0
    for name, kind, text in BLOCKS:
        if kind == "python" and "import segsweep" not in text:
            call(sys.executable, "-c", text)
        if kind == "yaml":
            write(name, text)
        for line in text.splitlines() if kind == "sh" else ():
            words = shlex.split(line)
            if words[0] == "printf":
                call("sh", "-ec", line)
            if words[:2] == ["segsweep", "data"]:
                checks += 1
                assert cli.run(words[1:]) == 0
            if words[:2] in (["segsweep", "train"], ["segsweep", "plan"]):
                assert cli.run(["plan", *words[2:]]) == 0
            assert set(re.findall(r"segsweep (\w+)", line)) <= set(cli.COMMANDS)
    assert checks == 2
    out = capfd.readouterr().out
    assert "3 classes found" in out
    assert "3 classes by farm/classes.csv" in out


@pytest.mark.slow
def test_it_can_be_followed_to_the_end(place):
    for name, kind, text in BLOCKS:
        if kind == "yaml":
            write(name, text)
        elif kind == "python":
            call(sys.executable, "-c", text)
        else:
            call("bash", "-ec", text)
    assert len(list(place.glob("runs/*/tests/single/metrics.json"))) == 4
    assert (place / "report" / "index.html").is_file()
    report = (place / "report" / "report.json").read_text()
    assert [name for name in ("ground", "barn", "tree") if name not in report] == []
    assert len(list(place.glob("predictions/overlays/*.jpg"))) == 24
    assert len(list(place.glob("farm.onnx.tests/single/metrics.json"))) == 1
    with Image.open("prediction.png") as image:
        assert image.size == (128, 96)
