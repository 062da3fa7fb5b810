"""`segsweep test ID`: in the run's own configuration, and without changing what the run is."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.errors import ConfigError
from segsweep.evaluation.protocol import read_test
from segsweep.planning.by_id import check_options, configuration
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.worker import asked_of
from tests.data.writers import write_camvid
from tests.runs.earlier import CAMVID, VERSION_2, copied
from tests.support.composing import configuration as hydra
from tests.support.composing import member
from tests.support.inside import attempts_inside


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunFolder:
    """A finished run at 48x48 on CamVid in data/, in the working folder."""
    monkeypatch.chdir(tmp_path)
    write_camvid(Path("data/camvid"), size=(48, 64))
    return copied(VERSION_2, Path("runs"), num_classes=11)


def settled(run: RunFolder, *overrides: str) -> dict:
    """The configuration of a test by id."""
    from hydra import compose

    check_options(overrides)
    with hydra():
        chosen = compose("config", [o for o in overrides if o.startswith(("test=", "logger="))])
    return configuration(run, overrides, chosen)


def frozen(run: RunFolder) -> dict[str, tuple[bytes, int]]:
    """What makes the run what it is, with the time of its last change."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (run.path / "config.yaml", run.path / "plan.json")
    }


def test_it_is_tested_as_it_was_trained_wherever_its_data_are_now(run, caplog):
    """The window is the run's crop, the data are read from their new place, its configuration stays."""
    before = frozen(run)
    shutil.move("data", "elsewhere")
    assert cli.run(["test", run.id[:5], "test=[slide]", "data_dir=elsewhere", "checkpoint.test=last"]) == 0
    card = read_test(run.tests / "slide48x48+32x32").card
    assert (card.strategy.content["window"], card.images) == ([48, 48], 2)
    assert frozen(run) == before


def test_the_runs_own_settings_hold_and_the_commands_win_over_them(run):
    own = run.config()
    assert settled(run)["test"] == own["test"]
    expected = {**own, "checkpoint": {**own["checkpoint"], "test": "best"}}
    assert settled(run, "checkpoint.test=best", "trainer.accelerator=cpu") == expected
    assert settled(run)["trainer"]["accelerator"] == "auto", "of the machine, not of the run"
    scales = settled(run, "test.flip.scales=[0.5,1]")["test"]
    assert {name: test["scales"] for name, test in scales.items()} == {"single": [1.0], "flip": [0.5, 1]}
    assert settled(run, "test=[slide]", "test.slide.stride=[9,9]")["test"]["slide"]["stride"] == [9, 9]
    assert settled(run, "num_workers=2")["num_workers"] == 2


def test_a_run_without_tests_of_its_own_has_the_default_one(run):
    config = run.path / "config.yaml"
    text = config.read_text()
    start, end = text.index("test:\n  single"), text.index("split:")
    config.write_text(f"{text[:start]}test: {{}}\n{text[end:]}")
    assert list(settled(run)["test"]) == ["single"]


def test_the_data_are_where_the_command_says(run):
    assert settled(run, "data_dir=/new")["dataset"]["root"] == "/new/camvid"
    assert settled(run, "dataset.root=/new/frames")["dataset"]["root"] == "/new/frames"
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("root: data/camvid", "root: /own/frames"))
    assert settled(run, "split=val")["dataset"]["root"] == "/own/frames"
    with pytest.raises(
        ConfigError, match=r"data_dir=/new: .* at dataset.root=/own/frames; give dataset.root"
    ):
        settled(run, "data_dir=/new")
    assert settled(run, "data_dir=/new", "dataset.root=/new/x")["dataset"]["root"] == "/new/x"


@pytest.mark.parametrize(
    "argument",
    ["head=ksac", "size=64", "seed=1", "dataset=voc2012", "dataset.train_split=val", "checkpoint.every=3",
     "trainer.max_steps=9", "sweep=mine", "+test.single.x=1", "-m", "stages=ksac_voc"],
)  # fmt: skip
def test_what_would_make_it_another_run_or_change_nothing_is_refused(argument):
    with pytest.raises(
        ConfigError, match=r"cannot be given with a run's id.*test, .*checkpoint\.test"
    ) as told:
        check_options([argument])
    assert str(told.value).startswith(f"{argument}: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("checkpoint.test=bset", "checkpoint.test=bset: expected last or best"),
        ("test.single.scale=[1]", "test.single.scale: a test has no such option; did you mean scales?"),
        ("test.ms.scales=[1]", "test.ms.scales: ms is not among the chosen tests; add it, as test=[ms]"),
        ("dataset.voc_root=/x", "dataset.voc_root: the dataset chosen here has no such option"),
        ("split=val,test", "split=val,test: with a run's id, give one value"),
        ("num_workers=many", "num_workers=many: expected a whole number"),
    ],
)
def test_a_wrong_value_is_told(run, argument, words):
    with pytest.raises(ConfigError) as told:
        settled(run, argument)
    assert str(told.value).startswith(words)


def test_a_finished_run_is_not_written_to(run, caplog, monkeypatch):
    """Neither by the command that trained it nor by one that tests it: the request goes to the process."""
    before = frozen(run)
    monkeypatch.setattr(logging.getLogger("segsweep"), "propagate", True)
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert cli.run(["train", *CAMVID, "num_workers=1"]) == 0
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files
    attempts_inside(monkeypatch)
    assert cli.run(["test", "-m", *CAMVID[:-1], "test=[ms]"]) == 0
    assert {path.name for path in run.tests.iterdir()} == {"single", "flip", "ms"}
    assert frozen(run) == before


def test_only_a_run_that_is_done_is_told_its_test_apart(run, tmp_path):
    planned = member("seed=8", f"runs_dir={tmp_path}")
    assert asked_of(planned) == ""
    done = member(*CAMVID[:-1], "test=[ms]", f"runs_dir={run.path.parent}")
    assert list(json.loads(asked_of(done))["test"]) == ["ms"]
    assert done.id == run.id
