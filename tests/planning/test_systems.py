"""The systems that the papers' tables quote, as runs of the tables' own protocols."""

import pytest

from segsweep.errors import ConfigError
from segsweep.planning.compose import Request, compose
from segsweep.planning.experiment import Published, published_table, quoted

# How many quoted rows have a run: their systems exist here. DFANet A and A' are one run, tested at two sizes.
SYSTEMS = {"ksac/table3": 5, "ksac/table4": 5, "atonet/table1": 13, "atonet/table2": 8, "dual_aspp/table3": 6}
UNFIXED = {"TwoColumn", "SDN", "DSSPN", "SAC", "ExFuse"}
PROTOCOL = (
    "dataset",
    "size",
    "batch_size",
    "optimizer",
    "scheduler",
    "trainer",
    "augment",
    "loss",
    "num_classes",
)


def planned(name, *overrides):
    """The members of an experiment, composed as the command line does."""
    return compose("train", ["-m", f"+experiments={name}", *overrides])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in ("ksac/table3", "atonet/table1") else n
        for n in SYSTEMS
    ],
)
def test_each_system_is_trained_as_the_paper_s_own_network(name):
    (own,), members = planned(name), planned(f"{name}_systems")
    assert own.id in {member.id for member in members}
    runs = {row["run"] for row in published_table(name)["rows"] if quoted(row) and "run" in row}
    assert len({member.id for member in members}) == 1 + len(runs)
    for member in members:
        for stage, other in zip(member.lineage(), own.lineage(), strict=True):
            assert [stage.config[key] for key in PROTOCOL] == [other.config[key] for key in PROTOCOL]
        assert member.config.get("backbone", {"pretrained": True})["pretrained"] is True


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_variation_repeats_the_same_table(name):
    node = published_table(name)
    assert published_table(f"{name}_systems") == node
    assert sum(quoted(row) and "run" in row for row in node["rows"]) == SYSTEMS[name]


def test_dfanet_s_two_sizes_are_tests_of_one_run():
    tests = {
        row["method"]: (row["run"], row["test"])
        for row in published_table("atonet/table1")["rows"]
        if "run" in row
    }
    assert tests["DFANet A"] == ("network=dfanet", "single")
    assert tests["DFANet A'"] == ("network=dfanet", "half")


def test_systems_that_nothing_public_fixes_are_quoted_and_say_so():
    rows = [row for name in SYSTEMS for row in published_table(name)["rows"] if row["method"] in UNFIXED]
    assert {row["method"] for row in rows} == UNFIXED
    assert all("no public description" in row["note"] and "run" not in row for row in rows)


def test_a_quoted_row_is_a_member_only_if_systems_are_asked_for():
    row, other = {"run": "head=psp", "test": "ms", "quoted": True}, {"run": "head=ksac", "test": "ms"}
    table = Published("", "", {}, [1, 1], [row, other, {"method": "SAC"}])
    assert table.members(systems=False) == ["head=ksac test=[ms]"]
    assert table.members(systems=True) == ["head=psp test=[ms]", "head=ksac test=[ms]"]
    assert [quoted(each) for each in table.rows] == [True, False, True]


def test_hydra_s_own_setting_asks_for_them_too():
    arguments = ["-m", "+experiments=dual_aspp/table3", "hydra.sweeper.systems=true"]
    assert len(Request("train", arguments).axes.members) == 7


def test_another_network_cannot_be_given_to_all_rows():
    with pytest.raises(ConfigError, match="the experiment's rows say this themselves"):
        planned("ksac/table3_systems", "backbone=mobilenetv2")
