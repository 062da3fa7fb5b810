"""Each row of the tables of other systems, trained and tested for real on files in its dataset's own layout.

Every stage of its protocol trains two steps of two small crops; the whole fake images are tested as the row
says.
tests/reports/test_paper.py sets the same tables, trained on drawn scenes, beside the papers.
"""

import math
import shutil

import pytest

from segsweep.evaluation.protocol import read_test
from segsweep.planning.compose import compose
from segsweep.planning.experiment import published_table
from segsweep.planning.plan import merge, write
from segsweep.runs.folder import RunFolder
from tests.planning.test_systems import SYSTEMS
from tests.support.commands import segsweep
from tests.support.inside import rows

SMALL = (
    "size=64", "batch_size=2", "backbone.pretrained=false", "logger=none", "num_workers=0",
    "trainer.max_steps=2", "trainer.val_every=2", "trainer.log_every=1", "trainer.accelerator=cpu",
)  # fmt: skip
ROWS = [
    (name, row["method"])
    for name in SYSTEMS
    for row in published_table(f"{name}_systems")["rows"]
    if row.get("quoted") and "run" in row
]


def test_as_many_rows_have_a_run_as_are_promised():
    assert [name for name, _ in ROWS] == [name for name, rows in SYSTEMS.items() for _ in range(rows)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), ROWS)
def test_a_row_trains_and_is_tested_in_its_datasets_layout(name, method, data_dir, tmp_path):
    row = next(row for row in published_table(f"{name}_systems")["rows"] if row["method"] == method)
    asked = [*SMALL, f"data_dir={data_dir}", f"runs_dir={tmp_path}"]
    members = compose("train", ["-m", f"+experiments={name}_systems", *asked])
    its = [one for one in members if set(row["run"].split()) <= set(one.overrides)]
    its = [one for one in its if row["test"] in one.config["test"]]
    member = min(its, key=lambda one: len(one.overrides))  # another row may say more
    folders = [write(stage) for stage in merge([member])]
    for folder in folders:
        # In a process of its own, as launchers do: in one of them all, the networks of all rows add up.
        segsweep("execute", str(folder.path), cwd=tmp_path)
        check(folder)
    for folder in folders:
        shutil.rmtree(folder.checkpoints)
    for test in folders[-1].tests.iterdir():
        assert math.isfinite(read_test(test).metrics.miou)
    assert len(list(folders[-1].tests.iterdir())) == len(member.config["test"])


def check(folder: RunFolder) -> None:
    """A run's two steps are done, with losses that are numbers."""
    assert folder.status().state == "done"
    losses = [float(row["loss"]) for row in rows(folder) if row["loss"]]
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))
