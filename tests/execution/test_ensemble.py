"""Runs averaged with the one that is tested: they are named by any beginning of their ids."""

import json

import pytest

from segsweep.cli import run as segsweep
from segsweep.runs.folder import RunFolder
from tests.support.inside import planned, run


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[RunFolder]:
    """Two runs of one step that differ in their seed."""
    place = f"runs_dir={tmp_path_factory.mktemp('pair')}"
    folders = [planned("trainer.max_steps=1", "trainer.val_every=1", f"seed={n}", place) for n in (0, 1)]
    for folder in folders:
        run(folder)
    return folders


def averaged(first: RunFolder, ids: str) -> int:
    where = f"runs_dir={first.path.parent}"
    return segsweep(["test", first.id, "test=[single]", f"test.single.ensemble=[{ids}]", where])


def test_a_short_id_and_the_whole_one_are_one_test(pair):
    first, second = pair
    assert [averaged(first, id) for id in (second.id[:5], second.id)] == [0, 0]
    (test,) = first.tests.iterdir()
    assert test.name == f"with-{second.id}_single"
    assert json.loads((test / "protocol.json").read_text())["strategy"]["ensemble"] == [second.id]


@pytest.mark.parametrize("ids", ["{0}", "{1},{1}x", "{1},{2}"])
def test_no_run_is_averaged_twice(pair, capsys, ids):
    """With itself, by two beginnings of one id, and with what is no run."""
    first, second = pair
    assert averaged(first, ids.format(first.id[:6], second.id[:6], second.id[:7])) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("segsweep: ")]
    assert "ensemble" in line or "no run in" in line
