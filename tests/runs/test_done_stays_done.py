"""A run of an earlier version is done under this one, though classes moved or options were added since."""

import json
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.commands.runs.show import explain
from segsweep.evaluation.protocol import read_test
from segsweep.runs import versions as compatibility
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import identity
from segsweep.runs.tested import canonical_test
from tests.data.writers import write_camvid
from tests.runs.earlier import CAMVID, VERSION_1, VERSION_2, copied
from tests.support.composing import member
from tests.support.in_process import listed

STRATEGY = "segsweep.evaluation.strategies.Strategy"
# Where the classes of a run that an earlier version wrote were: elsewhere, or under another name too.
EARLIER = {"moved": "segsweep.tests.strategy.Strategy", "renamed": "segsweep.tests.strategy.Inference"}


@pytest.fixture(params=EARLIER)
def run(request, tmp_path, monkeypatch) -> RunFolder:
    """A finished run whose version had its classes elsewhere and its tests no output stride."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        compatibility, "FIRST_NAMES", {"Strategy": "Inference"} if "ren" in request.param else {}
    )
    compatibility._targets.cache_clear()
    write_camvid(Path("data/camvid"), size=(48, 64))
    run = copied(VERSION_2, Path("runs"), num_classes=11)
    for file in (run.path / "config.yaml", *run.tests.glob("*/asked.json")):
        text = file.read_text().replace(STRATEGY, EARLIER[request.param])
        text = text.replace("segsweep.data.sets.camvid.CamVid", "segsweep.data.camvid.CamVid")
        file.write_text(
            text.replace(',\n  "output_stride": null', "").replace("    output_stride: null\n", "")
        )
    yield run
    compatibility._targets.cache_clear()


def test_it_is_found_done_listed_shown_reported_and_tested(run, capsys):
    asked = json.loads((run.tests / "flip" / "asked.json").read_text())
    assert "output_stride" not in asked["strategy"]
    assert asked["strategy"]["_target_"] != STRATEGY
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    one = member(*CAMVID)
    assert one.id == run.id
    assert run.is_complete(one.config)
    assert cli.run(["train", *CAMVID]) == 0
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    row = listed(Path("runs"), capsys)[run.id]
    assert (row["state"], row["measured"]) == ("done", "single")
    assert set(explain(run)["tests"]) == {"single", "flip"}
    assert cli.run(["report", "format=json"]) == 0
    (reported,) = json.loads(capsys.readouterr().out)
    assert reported["single"] == row["miou"]
    assert cli.run(["test", run.id, "test=[flip,slide]"]) == 0
    assert read_test(run.tests / "slide48x48+32x32").card.images == 2
    assert not run.is_complete(member(*CAMVID, "test=[ms]").config)


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2])
def test_what_an_earlier_version_tested_is_complete_whatever_null_options_came_since(version, tmp_path):
    """Its notes name the classes where they were, and none of the options that strategies have since."""
    run = copied(version, tmp_path / "runs", num_classes=6)
    config = run.config()
    assert run.is_complete(config)
    later = {name: {**strategy, "later": None} for name, strategy in config["test"].items()}
    assert run.is_complete(config.changed(test=later))
    (run.tests / "single" / "asked.json").unlink()
    assert not run.is_complete(config)


def test_what_changes_a_test_makes_it_another():
    strategy = {"_target_": STRATEGY, "scales": [1.0], "flip": False, "window": None}
    same = {**strategy, "_target_": EARLIER["moved"], "scales": [1], "added": None}
    assert canonical_test(strategy) == canonical_test(same)
    for change in ({"flip": True}, {"scales": [0.5]}, {"added": 1}, {"_target_": "mine.Strategy"}):
        assert canonical_test(strategy) != canonical_test({**strategy, **change})


def test_a_class_that_was_renamed_counts_by_its_first_name(monkeypatch):
    config = member().config
    before = identity(config)
    monkeypatch.setattr(compatibility, "FIRST_NAMES", {"SharedKernel": "Ksac"})
    moved = {**config, "head": {**config["head"], "_target_": "segsweep.heads.SharedKernel"}}
    assert identity(config)["head._target_"] == "Ksac"
    assert identity(moved) == before
