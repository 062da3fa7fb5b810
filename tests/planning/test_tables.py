"""The papers' tables as experiments: every figure against the facts, what each plans, what may be changed."""

import importlib.util
import re

import pytest
import yaml

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError
from segsweep.planning.compose import compose
from segsweep.planning.experiment import FIGURES, OWN, Published, published_table, quoted
from tests.shared import shared

# Counted by hand from the papers: rows that differ only in the test strategy are one run, and so are those of
# KSAC's Table 1 that differ only in the displaced tick.
RUNS = {
    "ksac/table1": 5, "ksac/table2": 2, "ksac/table3": 1, "ksac/table4": 1,
    "atonet/table1": 1, "atonet/table2": 1, "atonet/table3": 3, "atonet/table4": 14,
    "dual_aspp/table1": 5, "dual_aspp/table2": 9, "dual_aspp/table3": 1, "dual_aspp/table4": 2,
}  # fmt: skip
DISTINCT = 37  # over all tables: eight of the 45 runs are in two
ROWS = {
    "ksac/table1": 9, "ksac/table2": 4, "ksac/table3": 8, "ksac/table4": 9,
    "atonet/table1": 16, "atonet/table2": 9, "atonet/table3": 3, "atonet/table4": 15,
    "dual_aspp/table1": 5, "dual_aspp/table2": 9, "dual_aspp/table3": 7, "dual_aspp/table4": 2,
}  # fmt: skip


def planned(name, *overrides):
    """The members of an experiment, composed as the command line does."""
    return compose("train", ["-m", f"+experiments={name}", *overrides])


@pytest.fixture(scope="module")
def members():
    return {name: planned(name) for name in RUNS}


def table(name):
    return Published.of(config_files.read(dict(config_files.files("experiments"))[name])["published"])


def test_the_tables_are_the_experiments_with_published_figures():
    nodes = {name: config_files.read(file) for name, file in config_files.files("experiments")}
    assert {name for name, node in nodes.items() if "published" in node} == set(RUNS)
    assert all(node["sweep"] == name for name, node in nodes.items() if name in RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_figures_are_those_of_the_paper(name):
    paper, number = name.split("/")
    facts = yaml.safe_load(shared("papers/published.yaml").read_text())[paper][number]
    found = [
        {key: value for key, value in row.items() if key not in ("run", "test", "quoted")}
        for row in table(name).rows
    ]
    expected = [{key: value for key, value in row.items() if key != "ours"} for row in facts]
    for row in expected:  # `ms` is a tick of multi-scale in KSAC's tables and milliseconds in Dual ASPP's
        if not isinstance(row.get("ms", True), bool):
            row["time_ms"] = row.pop("ms")
    for row in found:
        if row.get("encoder") in ("xception65",) and paper == "dual_aspp":
            row.pop("note")  # ours: where the paper has the figure from
        if "method" in row:
            row.pop("note", None)  # ours: why a system is quoted only
    assert found == expected
    assert [not quoted(row) for row in table(name).rows] == [row.get("ours", False) for row in facts]


@pytest.mark.parametrize("name", RUNS)
def test_every_row_is_there(name):
    assert len(table(name).rows) == ROWS[name]
    assert all(set(row) & set(FIGURES) for row in table(name).rows)


def test_what_each_table_plans(members):
    assert {name: len({m.id for m in found}) for name, found in members.items()} == RUNS
    assert len({m.id for found in members.values() for m in found}) == DISTINCT


def test_rows_that_differ_in_the_test_are_one_run_with_their_tests(members):
    tests = [list(member.config["test"]) for member in members["ksac/table1"]]
    assert tests == [["single", "ms_flip"]] * 3 + [["single"]] * 3
    untick, ticked, *_ = members["ksac/table1"]
    assert untick.id == ticked.id, "both have all three stages"
    assert [list(m.config["test"]) for m in members["ksac/table4"]] == [["ms", "single"]]
    assert [list(m.config["test"]) for m in members["atonet/table4"]].count(["center_crop", "single"]) == 1


def settings(member):
    config = member.config
    return (
        config["backbone"]["name"], config["backbone"]["output_stride"], member.choices["head"],
        member.choices["dataset"], config["size"], config["batch_size"], config["optimizer"]["lr"],
        member.choices["scheduler"], config["trainer"]["max_steps"],
    )  # fmt: skip


# The first run of some tables, by KSAC §4.1 and §4.2, ATONet's captions and code, Dual ASPP §4.1;
# 74,375 = 100 × 2,975 / 4 = 200 × 2,975 / 8; 148,750 = 200 × 2,975 / 4; 11,700 = 400 × 468 / 16.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ksac/table1", ("xception65", 16, "aspp", "voc2012", [513, 513], 16, 2e-4, "poly", 30_000)),
        ("ksac/table2", ("xception65", 16, "ksac", "voc2012", [513, 513], 16, 2e-4, "poly", 30_000)),
        ("ksac/table4", ("xception65", 16, "ksac", "ade20k", [513, 513], 16, 2e-3, "staircase", 150_000)),
        ("atonet/table1", ("resnet18", 32, "atonet", "cityscapes", [1024, 1024], 4, 2e-2, "cosine", 148_750)),
        ("atonet/table2", ("resnet18", 32, "atonet", "camvid720", [720, 720], 16, 2e-2, "cosine", 11_700)),
        ("atonet/table4", ("resnet18", 32, "atonet", "cityscapes", [1024, 1024], 4, 2e-2, "cosine", 74_375)),
        (
            "dual_aspp/table1",
            ("resnet101", 16, "deeplabv3plus", "cityscapes", [1024, 2048], 8, 1e-2, "poly", 74_375),
        ),
        (
            "dual_aspp/table3",
            ("mobilenetv2_100", 32, "dual_aspp", "cityscapes", [1024, 2048], 8, 1e-2, "poly", 74_375),
        ),
    ],
)
def test_the_paper_s_settings(members, name, expected):
    assert settings(members[name][0]) == expected


def test_encoders_start_from_imagenet_and_no_table_stands_in_a_run(members):
    for member in (m for found in members.values() for m in found):
        assert member.config["backbone"]["pretrained"] is True
        assert "published" not in member.config


def test_voc_tables_train_in_the_paper_s_stages(members):
    """KSAC, section 4.2; the length of the last stage is not given there."""
    for name in ("ksac/table1", "ksac/table2", "ksac/table3"):
        for member in members[name]:
            assert lineage(member) == [
                ("coco_sbd_voc", 1e-3, 300_000), ("voc_sbd", 4e-4, 40_000), ("voc2012", 2e-4, 30_000),
            ]  # fmt: skip
            large = member.choices["backbone"] == "xception65"
            assert {m.config["batch_size"] for m in member.lineage()} == {16 if large else 32}
            assert {m.config["head"]["decoder"] for m in member.lineage()} == {large}
            assert {tuple(m.config["size"]) for m in member.lineage()} == {(513, 513)}


def lineage(member):
    return [
        (m.choices["dataset"], m.config["optimizer"]["lr"], m.config["trainer"]["max_steps"])
        for m in member.lineage()
    ]


def test_the_ticks_of_ksac_s_table_1_may_be_read_as_they_stand():
    """COCO in rows three and four only, which are one run; the other rows have no first stage."""
    sets = [[dataset for dataset, _, _ in lineage(m)] for m in planned("ksac/table1_ticks")]
    two = ["voc_sbd", "voc2012"]
    assert sets == [two, ["coco_sbd_voc", *two], two, two, two, two]
    table = published_table("ksac/table1")
    assert published_table("ksac/table1_ticks") == table
    (ticked,) = {row["run"] for row in table["rows"] if row.get("pretrain") == "coco"}
    assert "stages=ksac_voc" in ticked


def test_the_row_without_a_pyramid_is_deeplabv3_s_mobilenetv2_without_aspp(members):
    head = members["ksac/table1"][3].config["head"]
    assert (head["_target_"].rpartition(".")[2], head["rates"], head["decoder"]) == ("Aspp", [], False)


def test_learning_rates_on_ade20k_are_halved_every_30_000_steps_unless_the_plateau_is_asked_for(members):
    assert members["ksac/table4"][0].config["scheduler"] | {"_target_": None} == {
        "_target_": None, "_partial_": True, "every": 30_000, "factor": 0.5,
    }  # fmt: skip
    (plateau,) = planned("ksac/table4", "scheduler=plateau")
    assert (plateau.choices["scheduler"], plateau.config["scheduler"]["patience"]) == ("plateau", 0)
    assert plateau.config["trainer"]["val_every"] == 30_000


def test_the_command_line_wins_over_rows_but_not_over_their_network():
    found = planned("atonet/table4", "dataset=shapes", "trainer.max_steps=1", "size=64", "test=[flip]")
    assert len(found) == 13  # the row of 200 epochs has become the one of 100
    assert len({m.id for m in found}) == 13
    assert {m.config["trainer"]["max_steps"] for m in found} == {1}
    assert {tuple(m.config["test"]) for m in found} == {("flip",)}
    for override in ("head=ksac", "head.rates=[1]"):
        with pytest.raises(ConfigError, match="the experiment's rows say this themselves"):
            planned("ksac/table2" if "rates" in override else "ksac/table1", override)
    assert planned("ksac/table2", "backbone=mobilenetv2")[0].choices["backbone"] == "mobilenetv2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "titel: no such field; did you mean title"),
        ({"rows": [{"miou": 1.0, "run": "head=ksac"}]}, "row 1 has only one of run and test"),
    ],
)
def test_mistakes_in_a_table_are_told(change, message):
    node = {"title": "", "data": "", "protocol": {}, "input": [1, 1], "rows": [], **change}
    with pytest.raises(ConfigError, match=message):
        Published.of(node)


def test_parts_and_counts_are_no_experiments():
    names = config_files.choices("experiments")
    assert set(RUNS) < set(names)
    assert not [name for name in names if "_voc" in name or "_cityscapes" in name or name == "counted"]
    assert set(OWN) == {"run", "test", "note", "quoted"}


@pytest.fixture(scope="module")
def papers():
    """benchmarks/papers.py, which writes the tables of docs/papers.md."""
    spec = importlib.util.spec_from_file_location("papers", config_files.root() / "benchmarks" / "papers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_page_of_the_papers_is_fresh(papers):
    text = papers.DOC.read_text()
    assert papers.renewed(text) == text, "python benchmarks/papers.py write renews it"


@pytest.mark.slow
def test_costs_are_those_that_the_experiments_state(papers):
    files = dict(config_files.files("experiments"))
    for name, _, _, hours in papers.rows():
        stated = re.search(r"# Cost: +about (\d+) GPU hours?, estimated", files[name].read_text())
        assert int(stated[1]) == round(hours), name


def test_what_the_page_names_is_there():
    root = config_files.root()
    text = (root / "docs" / "papers.md").read_text()
    paths = set(re.findall(r"`([\w/]+\.(?:py|yaml))`", text))
    assert len(paths) > 25
    assert [
        p for p in paths if not any((base / p).is_file() for base in (root, root / "src" / "segsweep"))
    ] == []
    assert set(re.findall(r"(?:ksac|atonet|dual_aspp)/table\d", text)) == set(RUNS)
