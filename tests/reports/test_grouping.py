"""Groups of images: kept by tests, and of older tests by the run's dataset if segsweep ships it."""

from pathlib import Path

from segsweep.evaluation.protocol import read_test
from segsweep.reports.findings.grouping import groups_of
from segsweep.runs.folder import RunFolder
from tests.runs.earlier import VERSION_2, copied


def test_an_older_test_gets_the_groups_of_its_dataset(tmp_path):
    run = RunFolder(VERSION_2)
    counts = read_test(run.tests / "single").counts
    groups = groups_of(run, counts)
    assert groups == ("drive", ("test",) * len(counts)), "fake frames are named test_0000, …"


def test_a_kept_group_is_taken_as_it_is(tmp_path):
    counts = read_test(VERSION_2 / "tests" / "single").counts
    counts.group("street", lambda id: "Elm")
    assert groups_of(RunFolder(VERSION_2), counts).unit == "street"


def test_a_class_of_somebody_elses_is_not_imported(tmp_path):
    run = copied(VERSION_2, tmp_path, 11)
    file = Path(run.path / "config.yaml")
    file.write_text(file.read_text().replace("segsweep.data.sets.camvid.CamVid", "elsewhere.Sets"))
    assert groups_of(run, read_test(run.tests / "single").counts) is None
