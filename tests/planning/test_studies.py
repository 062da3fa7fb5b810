"""The studies: each plans the runs that its head promises, and they build."""

import re
from collections import Counter

import pytest

from segsweep.config import groups as config_files
from segsweep.planning.compose import compose
from segsweep.planning.plan import check_member

RUNS = {
    "camvid_ksac": 72, "camvid_ksac_cpu": 15, "camvid_atonet": 90, "camvid_dual_aspp": 64,
    "shapes_heads": 18,
}  # fmt: skip
SAME = {"shapes_heads": 1}
"""Members that are another one's run: aspp and deeplabv3 are one network."""


@pytest.fixture(scope="module", params=RUNS)
def study(request, data_dir):
    """A study's name and its members, composed as the command line does."""
    return request.param, compose(
        "train", ["-m", f"+experiments=studies/{request.param}", f"data_dir={data_dir}"]
    )


def test_every_study_plans_its_runs(study):
    name, members = study
    assert len({member.id for member in members}) == len(members) - SAME.get(name, 0) == RUNS[name]
    assert {member.config["sweep"] for member in members} == {name}
    seeds = Counter(member.config["seed"] for member in members)
    assert len(set(seeds.values())) == 1, "every configuration has the same seeds"
    text = dict(config_files.files("experiments"))[f"studies/{name}"].read_text()
    if said := re.search(r"(\d+) runs", text):
        assert int(said[1]) == RUNS[name]


def test_every_study_builds(study):
    """One member of each head: the others differ in lists of numbers."""
    heads = {(m.config["backbone"]["name"], m.config["head"]["_target_"]): m for m in study[1]}
    for member in heads.values():
        check_member(member)


def test_all_studies_are_here():
    names = config_files.choices("experiments")
    assert {name for name in names if name.startswith("studies/")} == {f"studies/{name}" for name in RUNS}
