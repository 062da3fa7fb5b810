"""What a report says of runs that are done, and of those that are not."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from segsweep import cli
from segsweep.data.check.problems import Problem
from segsweep.data.check.report import Report
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.findings.fields import Findings
from segsweep.reports.writers.text_table import text_tables
from segsweep.runs.documents import write_json
from segsweep.runs.folder import all_runs
from segsweep.statistics.figures import miou
from segsweep.terminal import csv_text, escape_markdown
from tests.shared import shared
from tests.support.run_folders import write_run, write_sweep

EVIL = (
    "a|b",
    "<i>x</i>",
    "[x](http://y)",
    "![x](y)",
    "*b* `c` _d_ ~~e~~",
    "two\nlines",
    "&lt;",
    "\\|",
    "a_b_c",
)
RATES = "head.rates"


@pytest.fixture
def runs(tmp_path) -> Path:
    """Three heads: none and ASPP over three seeds, of KSAC one seed; more KSACs failed, or never ran."""
    folder = tmp_path / "runs"
    for seed in range(3):
        write_run(folder, {"head": "none", "seed": seed}, {"single": 0.7, "flip": 0.71})
        write_run(folder, {"head": "aspp", RATES: [6, 12], "seed": seed}, {"single": 0.8})
    write_run(folder, {"head": "ksac", RATES: [6, 12], "seed": 0}, {"single": 0.8003})
    failed = {"state": "failed", "error": "loss is no number"}
    write_run(folder, {"head": "ksac", RATES: [6, 12], "seed": 1}, **failed)
    for seed in range(2):
        write_run(folder, {"head": "ksac", RATES: [1, 6], "seed": seed}, state="planned")
    return folder


def report_on(folder: Path, **wish) -> Findings:
    return findings(all_runs(folder), Wish(**wish))


def reported(folder: Path, *arguments: str, status: int = 0) -> Path:
    out = folder.parent / "out"
    assert cli.run(["report", f"runs_dir={folder}", f"out={out}", *arguments]) == status
    return out


def test_configurations_are_all_but_the_seed(runs):
    report = report_on(runs)
    assert [(row.label, len(row.runs), row.state) for row in report.rows] == [
        ("none", 3, "done"),
        ("aspp rates [6,12]", 3, "done"),
        ("ksac rates [6,12]", 2, "1 of 2 seeds"),
        ("ksac rates [1,6]", 2, "planned"),
    ]
    assert report.rows[2].why == "seed 1: loss is no number"
    assert report.rows[3].why == "seed 0,1: never started"


def test_a_cell_is_its_seeds_mean_with_an_interval(runs):
    cell = report_on(runs).rows[1].cells["single"]
    figures, pixels = [], 0
    for seed in cell.seeds:
        with np.load(runs / seed.run / "tests/single/counts.npz") as file:
            rows = [file[name] for name in ("tp", "fp", "fn", "boundary_tp", "boundary_fp", "boundary_fn")]
            figures.append(float(miou(np.stack(rows, 1).sum(0))))
            pixels += file["tp"].sum() + file["fn"].sum()
    assert cell.miou.value == pytest.approx(np.mean(figures))
    assert cell.std == pytest.approx(np.std(figures, ddof=1))
    assert [seed.value for seed in cell.seeds] == pytest.approx(figures)
    assert cell.miou.low < cell.miou.value < cell.miou.high
    assert [each.name for each in cell.per_class] == ["ground", "tree", "car", "pole"]
    assert np.sum(cell.confusion) == pixels


def test_the_first_sentences_answer_the_question(runs):
    first, second, third, *rest = report_on(runs).sentences
    assert first.startswith("aspp rates [6,12] beats none by 1")
    assert first.endswith(" over images); 3 seeds: too few for a verdict over seeds (7 would do).")
    assert second.startswith("ksac rates [6,12] beats none by")
    assert third == "Not told apart from the best under single: aspp rates [6,12], ksac rates [6,12]."
    assert rest == [
        "ksac rates [6,12]: 1 of 2 seeds finished (seed 1: loss is no number).",
        "No ksac rates [1,6] run finished: 2 planned.",
    ]


def test_what_is_not_told_apart_says_what_could_be(runs):
    aspp = [run.id for run in all_runs(runs) if run.plan.choices["head"] == "aspp"]
    told = report_on(runs, baseline=aspp).sentences
    assert told[0].startswith("aspp rates [6,12] beats none by")
    assert told[1].startswith("ksac rates [6,12] and aspp rates [6,12] cannot be told apart: ")
    assert "points under single (" in told[1]
    assert "this test set could tell apart" in told[1]


def test_bold_and_letters_are_those_of_the_best_set(runs):
    (table,) = text_tables(report_on(runs))
    names = [column.name for column in table.columns]
    bold = [row[names.index("single")].bold for row in table.rows]
    letters = [row[names.index("single letters")].text for row in table.rows]
    assert bold == [False, True, True, False]
    assert letters == ["b", "a", "a", ""]
    assert [row[names.index("flip")].bold for row in table.rows] == [False] * 4  # nothing to be best of


def test_a_caption_explains_bold_only_where_something_is(runs):
    assert "bold: not told apart from the best" in text_tables(report_on(runs))[0].caption
    (table,) = text_tables(
        findings([run for run in all_runs(runs) if run.plan.choices["head"] == "none"], Wish())
    )
    assert not any(cell.bold for row in table.rows for cell in row)
    assert "bold" not in table.caption


def test_page_and_tables_have_one_rule_for_bold(runs):
    report = report_on(runs)
    of_page = [cell["bold"] for row in report.plain()["rows"] for cell in row["cells"].values()]
    assert of_page == [False, False, True, True]  # single and flip of none, then ASPP and one KSAC
    assert [cell.best for row in report.rows for cell in row.cells.values()] == [False, True, True, True]
    (table,) = text_tables(report)
    assert sum(cell.bold for row in table.rows for cell in row) == sum(of_page)


def test_all_writers_have_the_same_cells(runs, capsys):
    out = reported(runs, "title=Rates & rows")
    printed = capsys.readouterr().out
    content = json.loads((out / "report.json").read_text())
    flat = list(csv.DictReader((out / "report.csv").read_text().splitlines()))
    markdown, latex, page = ((out / n).read_text() for n in ("report.md", "report.tex", "index.html"))
    for row, line in zip(content["rows"], flat, strict=True):
        assert line["state"] == row["state"]
        for cell in row["cells"].values():
            shown = f"{100 * cell['miou']['value']:.2f}"
            assert shown in markdown
            assert shown in latex
            assert shown in printed
        if row["cells"]:
            assert float(line["single"]) == pytest.approx(row["cells"]["single"]["miou"]["value"], rel=1e-6)
            assert float(line["single_low"]) == pytest.approx(row["cells"]["single"]["miou"]["low"], rel=1e-6)
        assert row["command"] is None or row["command"] in markdown
    assert "# Rates & rows" in markdown.replace("&amp;", "&")
    assert "Rates &amp; rows" in page
    assert printed.splitlines()[0] in markdown.replace("- ", "")
    assert r"\textbf{" in latex


def test_each_number_leads_to_its_run(runs):
    report = report_on(runs).plain()
    cell = report["rows"][1]["cells"]["single"]
    run = report["runs"][cell["seeds"][2]["run"]]
    assert run["row"] == report["rows"][1]["id"]
    assert (run["seed"], run["state"], run["commit"]) == ("2", "done", "c0ffee")
    assert run["differs"] == {"head": "aspp", RATES: [6, 12], "seed": 2}
    assert run["data"] == {"shapes test list": "0123"}
    assert run["card"]["single"]["checkpoint"]["sha256"] == "4567"
    assert run["curves"] == {"loss": [[1, 2.0], [2, 1.5], [4, 1.0]], "val_miou": [[4, 0.5]]}
    assert run["command"] == f"segsweep train head=aspp 'head.rates=[6,12]' runs_dir={runs} seed=2"
    command = f"segsweep train -m head=ksac 'head.rates=[1,6]' runs_dir={runs} seed=0,1"
    assert report["rows"][3]["command"] == command


def test_effects_of_factors_name_what_is_missing(runs):
    effects = report_on(runs).effects
    aspp = next(each for each in effects if each["to"] == "aspp" and each["strategy"] == "single")
    difference = report_on(runs).rows[1].cells["single"].difference
    assert (aspp["factor"], aspp["from"], aspp["with"]) == ("head", "none", None)
    assert aspp["value"] == pytest.approx(difference.value)
    rates = next(each for each in effects if each["factor"] == RATES)
    assert "head=ksac head.rates=[1,6]" in rates["missing"]
    assert np.isnan(rates["value"])


def test_unlike_protocols_stand_apart_unless_asked(runs, capsys):
    write_run(runs, {"head": "aspp", "seed": 9}, {"single-val": 0.9}, card={"split": "val"})
    report = report_on(runs)
    assert [protocol.card["split"] for protocol in report.protocols] == ["test", "val"]
    assert len(text_tables(report)) == 2
    mixed = report_on(runs, mixed=True)
    (table,) = text_tables(mixed)
    marked = [row for row in table.flat() if "≠" in row["single"]]
    assert len(marked) == 1
    assert mixed.rows[-1].unlike == ("split val for test",)
    assert "≠: measured by another protocol" in table.caption
    assert all(cell.difference is None for cell in mixed.rows[-1].cells.values())


def test_older_tests_without_counts_have_figures_alone(runs):
    for counts in runs.glob("*/tests/single/counts.npz"):
        counts.unlink()
    row = report_on(runs).rows[1]
    assert row.cells["single"].miou.low is None
    assert row.cells["single"].std is not None


def test_a_query_chooses_and_a_wrong_one_says_what_there_is(runs, capsys):
    out = reported(runs, "head=aspp,ksac", "seed=0", "baseline=head=aspp")
    content = json.loads((out / "report.json").read_text())
    assert [row["axes"]["head"] for row in content["rows"]] == ["aspp", "ksac", "ksac"]
    assert content["baseline"] == content["rows"][0]["id"]
    capsys.readouterr()
    for arguments, message in [
        (["head=asp"], "head=asp: no run; head is aspp, ksac, none"),
        (["head=aspp", "head.rates=[1]"], "no run among those with head=aspp; head.rates is [6,12]"),
        (["baseline=head=ksac"], "2 configurations (head.rates is [6,12], [1,6]); add what chooses one"),
        (["deadbeef"], "deadbeef: no run here has an id that begins so"),
        (["mixed=maybe"], "mixed=maybe: expected true or false"),
        (["latency=tpu"], "latency=tpu: expected auto, cpu, cuda or cuda:N"),
        (["latency=cuda:99"], "use latency=cpu"),
        (["head.rates=[1,6]"], "no tested run there: 0 of 1 configuration done"),
    ]:
        reported(runs, *arguments, status=2)
        assert message in capsys.readouterr().err


def test_a_sweep_that_was_cut_short_says_so(tmp_path, capsys):
    """A real one: 24 members of which 8 finished, none of them a ksac."""
    shutil.copytree(shared("data/runs_camvid"), tmp_path / "runs", copy_function=shutil.copyfile)
    options = ["sweep=camvid_gpu", f"runs_dir={tmp_path / 'runs'}", f"out={tmp_path / 'out'}"]
    assert cli.run(["report", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("aspp rates [6,12,18] beats none by 1.6 points under single (1.")
    assert "No ksac run finished: 7 interrupted, 5 planned." in lines
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    states = {row["label"]: row["state"] for row in rows}
    assert states["aspp rates [1,6,12,18,24]"] == "2 of 3 seeds"
    assert states["ksac rates [6,12,18]"] == "interrupted"
    assert states["ksac rates [1,2,4,6,8]"] == "1 interrupted, 2 planned"
    measured = [(row["cells"]["single"]["miou"]["value"], row["macs"]) for row in rows if row["cells"]]
    assert [f"{value:.4f}" for value, _ in measured] == ["0.5404", "0.5569", "0.5614"]
    assert all(row["macs"] for row in rows)
    (ksac,) = [row for row in rows if row["label"] == "ksac rates [2,4,6]"]
    assert ksac["command"].startswith("segsweep train -m head=ksac 'head.rates=[2,4,6]'")
    assert ksac["command"].endswith("seed=0,1,2")


def test_latex_compiles_and_shows_the_table(runs):
    if shutil.which("pdflatex") is None or shutil.which("pdftotext") is None:
        pytest.skip("needs pdflatex and pdftotext")
    write_run(runs, {"head": "aspp", "note": "50% of {a_b} & #1 ~ ^ \\ ≠ ü", "seed": 0}, {"single": 0.9})
    out = reported(runs)
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    subprocess.run(latex, cwd=out, check=True, capture_output=True)
    pdf = ["pdftotext", "-layout", "report.pdf", "-"]
    text = subprocess.run(pdf, cwd=out, check=True, capture_output=True, text=True).stdout
    for words in ("ksac", "[6,12]", "planned", "50% of {a", "} & #1", "95 % interval"):
        assert words in text
    cell = report_on(runs).rows[0].cells["single"]
    assert f"{100 * cell.miou.value:.2f} ± {100 * cell.std:.2f}" in text


@pytest.mark.slow
def test_a_thousand_runs_are_reported_in_reasonable_time(tmp_path):
    write_sweep(tmp_path / "runs", 334, (0, 1, 2))
    out = reported(tmp_path / "runs")
    assert len(json.loads((out / "report.json").read_text())["runs"]) == 1002
    assert (out / "index.html").stat().st_size < 6e6


def test_names_of_the_user_s_are_shown_as_they_stand(tmp_path):
    for seed, name in enumerate(EVIL):
        write_run(tmp_path / "runs", {"note": name, "seed": seed}, {"single": 0.8})
    markdown = (reported(tmp_path / "runs") / "report.md").read_text()
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    cells = [part.split("</td>")[0] for part in rendered.split("<td>")[1:]]
    for name in EVIL:
        shown = name.replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert shown in cells
    assert escape_markdown("head.rates=[1,6,12]") == "head.rates=[1,6,12]"


def test_a_check_of_data_shows_file_names_as_they_stand():
    problem = Problem("a|b/<i>x</i>\n.png", "is [not](an) image", "*mend* it")
    rendered = MarkdownIt("commonmark").enable("table").render(Report("t", (), {}, [problem], []).markdown())
    cells = [part.split("</td>")[0] for part in rendered.split("<td>")[1:]]
    assert cells[:3] == ["a|b/&lt;i&gt;x&lt;/i&gt; .png", "is [not](an) image", "*mend* it"]


def test_a_spreadsheet_takes_no_name_for_a_formula():
    rows = [{"name": "=1+1", "lr": -0.5, "other": "a,b"}, {"name": "@x", "lr": 1, "other": "+1"}]
    read = list(csv.DictReader(csv_text(rows, list(rows[0])).splitlines()))
    assert [row["name"] for row in read] == ["'=1+1", "'@x"]
    assert [row["lr"] for row in read] == ["-0.5", "1"]


def test_a_test_with_another_list_is_another_protocol(runs):
    write_json(next(runs.glob("*/tests/flip")) / "metrics.json", {"miou": 0.5})  # damaged: left out
    assert len(report_on(runs).rows[0].cells["flip"].seeds) == 2
