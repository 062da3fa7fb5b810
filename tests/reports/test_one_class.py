"""A network that predicts one class everywhere is told from one that is poor."""

import csv

import numpy as np
import pytest

from segsweep import cli
from segsweep.evaluation.counts import Counts
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.findings.one_class import the_class
from segsweep.runs.folder import RunFolder, all_runs
from tests.support.run_folders import CLASSES, write_run

ONE = "predicts ground for at least 99 % of pixels"


def totals(prediction: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Count one image."""
    counts = Counts(3)
    counts.update("a", prediction, label.astype(np.uint8))
    return counts.rows.sum(0)


def pixels(*numbers: int) -> np.ndarray:
    """Return so many pixels of each class, in a row."""
    return np.repeat([0, 1, 2, 255][: len(numbers)], numbers)[None]


@pytest.mark.parametrize(
    ("prediction", "label", "found"),
    [
        (pixels(0, 1000), pixels(500, 300, 200), 1),
        (pixels(995, 5), pixels(500, 300, 200), 0),
        (pixels(980, 20), pixels(500, 300, 200), None),
        (pixels(1000), pixels(1000), None),  # there is nothing else
        (pixels(1000), pixels(600, 0, 0, 400), None),  # nor here, but what is ignored
        (pixels(995, 3, 2), pixels(995, 3, 2), None),  # right, however little there is else
        (pixels(1000), pixels(995, 3, 2), 0),
    ],
)
def test_nearly_all_pixels_and_nearly_all_of_the_other_classes(prediction, label, found):
    assert the_class(totals(prediction, label)) == found


def predict_ground(run: RunFolder, test: str) -> None:
    """Make a run's test one of a network that predicts the first class everywhere."""
    file = run.tests / test / "counts.npz"
    with np.load(file) as opened:
        arrays = dict(opened)
    true = arrays["tp"] + arrays["fn"]  # [N, K]
    tp, fn, fp = np.zeros_like(true), true.copy(), np.zeros_like(true)
    tp[:, 0], fn[:, 0], fp[:, 0] = true[:, 0], 0, true[:, 1:].sum(1)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    confusion[:, 0] = true.sum(0)
    np.savez(file, **arrays | {"tp": tp, "fn": fn, "fp": fp, "confusion": confusion})


@pytest.fixture
def runs_dir(tmp_path):
    """One of ASPP's two seeds predicts one class, and so does the only one of KSAC if it is not flipped."""
    folder = tmp_path / "runs"
    for seed in range(2):
        write_run(folder, {"head": "none", "seed": seed}, {"single": 0.7})
        aspp = write_run(folder, {"head": "aspp", "seed": seed}, {"single": 0.8})
    predict_ground(aspp, "single")
    predict_ground(write_run(folder, {"head": "ksac"}, {"single": 0.6, "flip": 0.6}), "single")
    return folder


def test_rows_say_of_which_seeds_and_strategies_it_is_so(runs_dir):
    rows = findings(all_runs(runs_dir), Wish()).rows
    remarks = {row.label: row.remarks for row in rows}
    assert remarks == {"none": "", "aspp": f"{ONE} with seed 1", "ksac": f"{ONE} under single"}


def test_page_markdown_and_table_say_so(runs_dir, capsys):
    out = runs_dir.parent / "out"
    assert cli.run(["report", f"runs_dir={runs_dir}", f"out={out}"]) == 0
    note = f"ksac: {ONE} under single."
    assert f"- {note}" in (out / "report.md").read_text()
    assert f"<li>{note}</li>" in (out / "index.html").read_text()
    flat = list(csv.DictReader((out / "report.csv").read_text().splitlines()))
    assert [row["remarks"] for row in flat if row["head"] == "none"] == [""]
    assert [row["remarks"] for row in flat if row["head"] == "aspp"] == [f"{ONE} with seed 1"]
