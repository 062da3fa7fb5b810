"""A user's own folder: configuration beside the shipped one, modules named as Python's own, a ~."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, UserError
from segsweep.planning.compose import compose
from segsweep.processes import PYTHON
from segsweep.runs.folder import RunFolder
from tests.support.inside import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder of the user's, which pytest does not import from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSWEEP_CONF", raising=False)
    return tmp_path


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_shipped_name_keeps_its_meaning_in_another_projects_folder(here):
    shipped = config_files.own_options("optimizer", "sgd")
    write(here / "conf" / "optimizer" / "sgd.yaml", "_target_: torch.optim.SGD\nlr: 0.5\nforeach: false\n")
    write(here / "conf" / "optimizer" / "lion.yaml", "defaults: [{override /x: y}, sgd]\nbeta: 1\n")
    assert config_files.own_options("optimizer", "sgd") == shipped
    assert config_files.own_options("optimizer", "lion") == {**shipped, "beta": 1}
    assert [name for name in config_files.choices("optimizer") if name == "sgd"] == ["sgd"]


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n"])
def test_a_file_that_is_no_configuration_is_named(here, text):
    file = write(here / "conf" / "head" / "broken.yaml", text)
    with pytest.raises(ConfigError, match=re.escape(str(file)) + ".*SEGSWEEP_CONF"):
        config_files.options("head")


OWN_SET = "num_classes: 6\nsize: [32, 32]\ndataset: {_target_: segsweep.data.sets.shapes.Shapes}\n"


@pytest.mark.parametrize("given", [[], ["size=32", "num_classes=6"]])
def test_a_dataset_without_its_first_line_is_named(here, given):
    file = write(here / "conf" / "dataset" / "mine.yaml", OWN_SET)
    with pytest.raises(UserError, match=re.escape(str(file)) + ".*first line must be '# @package _global_'"):
        compose("train", ["dataset=mine", *given])


@pytest.mark.parametrize("missing", ["size", "num_classes"])
def test_a_dataset_that_lacks_an_option_of_the_top_level_is_told(here, missing):
    lines = [line for line in OWN_SET.splitlines() if not line.startswith(missing)]
    write(here / "conf" / "dataset" / "mine.yaml", "\n".join(["# @package _global_", *lines]))
    with pytest.raises(ConfigError, match=f"^{missing}: "):
        compose("train", ["dataset=mine"])


def test_own_experiments_lie_in_conf(here):
    write(
        here / "conf" / "experiments" / "mine.yaml",
        "# @package _global_\nsweep: mine\nhydra:\n  mode: MULTIRUN\n  sweeper: {params: {seed: '3,4'}}\n",
    )
    assert "mine" in config_files.choices("experiments")
    assert [member.config["seed"] for member in compose("train", ["+experiments=mine"])] == [3, 4]


def test_what_launchers_start_takes_pythons_modules_before_the_users(here):
    write(here / "random.py", "raise SystemExit('the random.py of the user')\n")
    done = subprocess.run(RunFolder(here / "nowhere").command(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no planned run" in done.stderr


def test_nobody_starts_segsweep_otherwise():
    sources = {file: file.read_text() for file in (ROOT / "src" / "segsweep").rglob("*.py")}
    starting = [file.name for file, text in sources.items() if re.search(r'"-m",\s*"segsweep"', text)]
    assert starting == ["folder.py"]
    assert PYTHON[1:] == ("-P",)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("runs_dir=~/runs", "runs_dir=HOME/runs"),
        ("runs_dir='~/a b'", "runs_dir='HOME/a b'"),
        ("+dataset.cache=~", "+dataset.cache=HOME"),
        ("~/runs", "HOME/runs"),
        ("~optimizer.lr", "~optimizer.lr"),
        ("sweep=a~/b", "sweep=a~/b"),
    ],
)
def test_a_tilde_is_the_home_folder(typed, meant, monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    assert cli.expand_home(typed) == meant.replace("HOME", "/home/anna")


def test_a_tilde_in_the_environment_is_too(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("SEGSWEEP_RUNS", "~/runs")
    monkeypatch.setenv("SEGSWEEP_DATA", "/data")
    assert cli.run(["--version"]) == 0
    assert (os.environ["SEGSWEEP_RUNS"], os.environ["SEGSWEEP_DATA"]) == ("/home/anna/runs", "/data")


def test_execute_explains_itself(capfd, tmp_path):
    assert cli.run(["execute", "--help"]) == 0
    assert "segsweep train" in capfd.readouterr().out
    assert cli.run(["execute", str(tmp_path)]) == 2
    assert f"{tmp_path}: no planned run" in capfd.readouterr().err
