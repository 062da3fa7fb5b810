"""All published tables trained for real for one step on generated images, and reported beside the papers."""

import json
import shutil
import statistics
from pathlib import Path

import pytest

from segsweep.cli import run
from segsweep.evaluation.protocol import read_test
from segsweep.execution.execute import execute
from segsweep.planning.compose import compose
from segsweep.planning.plan import Member, merge, write
from tests.planning.test_systems import SYSTEMS
from tests.planning.test_tables import ROWS, RUNS

SMOKE = (
    "dataset=shapes", "size=64", "batch_size=2", "backbone.pretrained=false", "logger=none",
    "dataset.train_images=2", "dataset.val_images=1", "dataset.test_images=3",
    "trainer.max_steps=1", "trainer.accelerator=cpu",
)  # fmt: skip
# Ten times the others' time, and half a gigabyte a checkpoint.
LARGE = ("xception65", "resnet101", "resnet152", "vgg16")
# Tables of nine runs and more wait for the slow tests.
LONG = ("ksac/table1", "atonet/table4", "dual_aspp/table2")
QUICK = [name for name in RUNS if name not in LONG]
# What conf/test's strategies are called in a run folder.
TESTS = {
    "single": "single",
    "ms": "ms",
    "ms_flip": "ms_flip",
    "center_crop": "center1024x1024",
    "half": "ms0.5",
}


def is_large(member: Member) -> bool:
    return "backbone" in member.config and member.config["backbone"]["name"] in LARGE


def planned(name: str, *overrides: str) -> list[Member]:
    return compose("train", ["-m", f"+experiments={name}", *overrides])


def trained(members: list[Member]) -> None:
    """Plan and execute as the launcher does, but in this process: starting one takes seconds."""
    runs = merge(members)
    parents = {member.parent.id for member in runs if member.parent is not None}
    for member in runs:
        folder = write(member)
        execute(folder)
        if member.id not in parents:
            shutil.rmtree(folder.checkpoints, ignore_errors=True)  # half a gigabyte with a large encoder
    for member in runs:
        shutil.rmtree(member.folder.checkpoints, ignore_errors=True)


def light(name: str) -> tuple[str, ...]:
    """A table of one encoder takes a small one in its stead; where rows name theirs, the large rows wait."""
    return ("backbone=mobilenetv3_small",) if name in ("ksac/table2", "ksac/table3", "ksac/table4") else ()


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """Most tables but their large encoders, and Dual ASPP's Table 4 with more seeds."""
    folder = tmp_path_factory.mktemp("tables") / "runs"
    members = [m for name in QUICK for m in planned(name, *SMOKE, *light(name), f"runs_dir={folder}")]
    members += planned("dual_aspp/table4", *SMOKE, "seed=1,2", f"runs_dir={folder}")
    trained([member for member in members if not is_large(member)])
    return folder


@pytest.fixture(scope="module")
def systems(runs_dir) -> None:
    """The systems that tables quote, too, but those with large encoders."""
    members = [m for name in SYSTEMS for m in planned(f"{name}_systems", *SMOKE, f"runs_dir={runs_dir}")]
    trained([member for member in members if not is_large(member)])


@pytest.fixture
def report(runs_dir, tmp_path, capsys):
    """Report a table of the smoke runs; gives what is printed."""

    def printed(name: str, *arguments: str, expected: int = 0) -> str:
        capsys.readouterr()
        folders = (f"runs_dir={runs_dir}", f"out={tmp_path / 'out'}")
        assert run(["report", name, *SMOKE, *folders, *arguments]) == expected
        output = capsys.readouterr()
        return output.out if expected == 0 else output.err

    return printed


def own_test(runs_dir: Path, row: dict) -> float:
    """mIoU in % of a row's first run, read from its folder."""
    return 100 * read_test(runs_dir / row["runs"][0] / "tests" / TESTS[row["test"]]).metrics.miou


def check_rows(rows: list[dict], name: str, runs_dir: Path, large: bool) -> None:
    """Every row of a table against the paper and the run folders; how many are measured."""
    assert len(rows) == ROWS[name.removesuffix("_systems")]
    for row in rows:
        published = row.get("published_val_miou" if name.startswith("ksac/table3") else "published_miou")
        waits = not row["runs"] if row["quoted"] else row.get("encoder") in LARGE and not large
        elsewhere = "the published figure is quoted from elsewhere" in row["departures"]
        assert elsewhere == (row["quoted"] and not waits)
        assert row["seeds"] == (0 if waits else 1)
        assert row["miou"] == (None if waits else pytest.approx(own_test(runs_dir, row)))
        expected = None if waits or published is None else pytest.approx(own_test(runs_dir, row) - published)
        assert row["miou_difference"] == expected


@pytest.mark.parametrize("name", QUICK)
def test_every_table_runs_and_is_set_beside_the_paper(name, report, runs_dir):
    rows = json.loads(report(name, *light(name), "format=json"))
    check_rows(rows, name, runs_dir, large=False)
    assert any(row["seeds"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_long_tables_too(name, report, tmp_path):
    """Apart from the others, where a run that two tables share has lost its weights once it is tested."""
    place = f"runs_dir={tmp_path}"
    trained([member for member in planned(name, *SMOKE, place) if not is_large(member)])
    check_rows(json.loads(report(name, place, "format=json")), name, tmp_path, large=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ksac/table1", "ksac/table2", "ksac/table3", "ksac/table4", "dual_aspp/table1",
        "ksac/table3_systems", "ksac/table4_systems", "atonet/table1_systems", "atonet/table2_systems",
    ],
)  # fmt: skip
def test_tables_run_with_their_large_encoders(name, report, runs_dir, systems):
    trained(planned(name, *SMOKE, f"runs_dir={runs_dir}"))
    check_rows(json.loads(report(name, "format=json")), name, runs_dir, large=True)


def test_another_protocol_and_another_training_are_said_first(report):
    first, *lines = report("ksac/table2", *light("ksac/table2")).splitlines()
    assert first.startswith(
        "KSAC, Table 2: published on PASCAL VOC 2012 val, measured on shapes test, 3 images"
    )
    assert "≠ not the published protocol: split test for val, images 3 for 1449, classes 6 for 21" in first
    assert "trained with dataset=shapes size=64 batch_size=2" in first
    assert [line.count(" ≠") for line in lines if " ≠" in line] == [2] * 4
    assert sum("[1,6,12,18,24]" in line for line in lines) == 2


def test_weights_that_were_selected_otherwise_than_the_papers_are_told(report):
    lines = report("atonet/table3").splitlines()
    assert "weights last for best on the evaluated split" in lines[0]
    assert sum(line.count(" ≠") == 2 for line in lines[1:]) == 3


def test_quoted_rows_are_quoted_and_remarks_stand_below(report):
    lines = report("ksac/table3", *light("ksac/table3")).splitlines()
    assert sum("  quoted" in line for line in lines) == 7
    assert any("PSPNet" in line and "85.4" in line for line in lines)
    remarks = report("ksac/table1")
    assert "aspp, xception65, decoder, ms, flip, coco: the text calls this row JFT" in remarks
    assert "their concatenation (Fig. 4) 3.05" in remarks


@pytest.mark.slow
def test_systems_are_measured_beside_the_figures_that_are_quoted(report, systems):
    """The experiment that trains them, and the paper's own, whose report has them too."""
    for name in ("dual_aspp/table3_systems", "dual_aspp/table3"):
        lines = report(name).splitlines()
        named = {words[0]: line for line in lines if (words := line.split()) and "[" not in words[0]}
        for system in ("ENet", "ESPNet", "CGNet", "ERFNet", "ESNet"):
            assert named[system].count(" ≠") == 2
        assert "quoted" in named["ICNet"]
        assert (
            "≠ published figures of ENet; ESPNet; CGNet; ERFNet; ESNet: quoted from elsewhere"
            in "\n".join(lines)
        )


def test_seeds_are_mean_and_std(report, runs_dir):
    rows = json.loads(report("dual_aspp/table4", "seed=0,1,2", "format=json"))
    for row in rows:
        tests = [read_test(runs_dir / run / "tests" / "single").metrics.miou for run in row["runs"]]
        assert len(tests) == row["seeds"] == 3
        assert row["miou"] == pytest.approx(100 * statistics.mean(tests))
        assert row["miou_std"] == pytest.approx(100 * statistics.stdev(tests))
        assert "seed=0,1,2" not in row["changes"]


# Millions of parameters and G as a faithful build counts them, and as Dual ASPP's Tables 1 and 2 print them.
COUNTED = {
    "dual_aspp/table1": [
        (45.69, 47.73, 456.6, 458.5),
        (41.06, 41.05, 410.2, 413.2),
        (2.719, 2.72, 44.7, 45.7),
    ],
    "dual_aspp/table2": [(None, None, 20.8, 20.9), (None, None, 44.7, 45.6), (None, None, 13.96, 14.2)],
}


@pytest.mark.parametrize("name", COUNTED)
def test_sizes_are_counted_at_the_paper_s_input_and_classes(name, report):
    rows = json.loads(report(name, "format=json"))
    for row, (params, printed_params, gmacs, printed_gmacs) in zip(rows, COUNTED[name], strict=False):
        assert row["gmacs"] == pytest.approx(gmacs, rel=2e-3)
        assert row["published_gflops"] == printed_gmacs
        assert row["gmacs_difference_percent"] == pytest.approx(100 * (gmacs / printed_gmacs - 1), abs=0.3)
        if params is not None:
            assert row["params_m"] == pytest.approx(params, rel=1e-3)
            assert row["published_params"] == printed_params


def test_what_has_not_run_is_empty_and_nothing_is_written(tmp_path, capsys):
    nowhere = tmp_path / "runs"
    assert run(["report", "dual_aspp/table4", f"runs_dir={nowhere}", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "none of its runs is tested yet" in printed
    assert sum("–" in line for line in printed.splitlines()) == 2
    assert not nowhere.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_the_page_holds_the_comparison_and_the_runs_own_tables(report, tmp_path):
    report("dual_aspp/table4")
    markdown, html = ((tmp_path / "out" / name).read_text() for name in ("report.md", "index.html"))
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["paper"]["title"] == "Dual ASPP, Table 4"
    assert "not the published protocol" in content["paper"]["heading"]
    assert "## Dual ASPP, Table 4" in markdown
    assert "not the published protocol" in markdown
    assert "| true | 63.94 |" in markdown
    assert "Measured on shapes test" in markdown
    assert "data:image/png" in html


def test_each_measured_cell_has_its_difference_and_interval(report, runs_dir, tmp_path):
    report("dual_aspp/table4", "seed=0,1,2")
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    by_runs = {frozenset(row["runs"]): row["cells"]["single"]["miou"] for row in content["rows"]}
    flat = json.loads(report("dual_aspp/table4", "seed=0,1,2", "format=json"))
    for row, shown in zip(flat, content["paper"]["rows"], strict=True):
        cell = by_runs[frozenset(row["runs"])]
        assert (row["miou_low"], row["miou_high"]) == pytest.approx((100 * cell["low"], 100 * cell["high"]))
        apart = row["miou"] - row["published_miou"]
        low, high = (apart + 100 * (cell[end] - cell["value"]) for end in ("low", "high"))
        assert shown["difference"] == f"{apart:+.2f} ({low:+.2f} to {high:+.2f}) ≠"


def test_how_the_published_epoch_was_chosen_is_said(report):
    assert "Published figures are of the epoch that is best on the val images themselves" in report(
        "atonet/table3"
    )


def test_an_experiment_without_a_table_reports_its_runs(tmp_path, capsys):
    """None of them is planned yet: they are told with the command that trains them."""
    assert run(["report", "demo", f"runs_dir={tmp_path / 'runs'}", f"out={tmp_path / 'out'}"]) == 0
    assert "No none run finished: 1 planned." in capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["planned"] * 3
    assert rows[0]["command"] == f"segsweep train -m +experiments=demo runs_dir={tmp_path / 'runs'}"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ksac/tabel2", (), "ksac/tabel2: no such experiment; did you mean ksac/table"),
        ("ksac/table1", ("atonet/table1",), "expected one experiment"),
        ("ksac/table1", ("head=aspp",), "the experiment's rows say this themselves"),
        ("ksac/table1", ("format=text",), "format=text"),
        ("ksac/table1", ("head.dropuot=0",), "did you mean"),
    ],
)
def test_mistakes_are_one_line(name, arguments, message, report):
    error = report(name, *arguments, expected=2)
    assert message in error
    assert error.count("\n") <= 7
