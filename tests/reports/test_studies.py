"""The studies kept in the repository: small, naming no place of a machine, and read by reports."""

import json
import re
import shutil

import pytest

from benchmarks import packed_counts, study
from segsweep.config.groups import root
from segsweep.evaluation.protocol import read_test
from segsweep.reports.findings.grouping import groups_of
from segsweep.runs.folder import RunFolder

STUDIES = root() / "docs" / "studies"
KEPT = sorted((STUDIES / "counts").iterdir())
TESTS = sorted(STUDIES.glob("counts/*/*/tests/*"))
FILES = [path for path in STUDIES.rglob("*") if path.is_file() and path.name != "counts.npz"]
MOST = 5_000_000


def test_all_together_are_small():
    assert sum(path.stat().st_size for path in FILES) < MOST


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
def test_counts_of_each_test_are_there_and_know_objects_and_groups(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "study")
    study.unpack(tmp_path / "study")
    tests = [tmp_path / "study" / test.relative_to(kept) for test in TESTS if test.is_relative_to(kept)]
    assert len(tests) == len(packed_counts.unpack((kept / study.PACKED).read_bytes()))
    for test in tests:
        read = read_test(test)
        assert read.counts.objects is not None
        groups = groups_of(RunFolder(test.parents[1]), read.counts)
        assert groups is None if kept.name.startswith("shapes") else groups.unit == "drive"


def test_nothing_names_a_place_of_a_machine():
    """Paths are as the study's command was given them, relative."""
    for path in FILES:
        if path.name != study.PACKED:
            assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|mnt)/", path.read_text()), path


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
def test_each_has_its_runs_and_its_page(kept):
    record = json.loads((kept / "sweeps" / f"{kept.name}.json").read_text())
    assert {member["run"] for member in record["members"]} == {
        run.parent.name for run in kept.glob("*/plan.json")
    }
    assert (STUDIES / f"{kept.name}.md").is_file(), "make study-report writes it"


@pytest.mark.parametrize("page", sorted(STUDIES.parent.glob("*.md")), ids=lambda page: page.name)
def test_tables_that_pages_quote_are_those_of_the_studies(page):
    assert study.with_tables(page.read_text()) == page.read_text(), "make study-report renews it"
