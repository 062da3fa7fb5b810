"""The commands end to end, in real processes: train once, test more, list, explain, report."""

import csv
import io
import json
import logging
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segsweep.commands.train import execute_run
from segsweep.evaluation.protocol import read_test
from segsweep.execution import execute
from segsweep.runs.folder import RunFolder
from tests.support.commands import TINY, segsweep, table

RUN_FILES = {
    "config.yaml", "plan.json", "status.json", "checkpoints", "metrics.csv", "validation.csv",
    "tests", "pictures", "environment.json", "log.txt", "lease.json.mutex",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with one trained and tested run."""
    folder = tmp_path_factory.mktemp("trained")
    segsweep("train", *TINY, "test=[single,flip]", cwd=folder)
    return folder


def only_run(folder: Path) -> Path:
    (plan,) = folder.glob("runs/*/plan.json")
    return plan.parent


def test_a_run_folder_is_plain_files(trained):
    run = only_run(trained)
    assert {path.name for path in run.iterdir()} == RUN_FILES
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    rows = list(csv.DictReader(io.StringIO((run / "metrics.csv").read_text())))
    assert [row["step"] for row in rows if row["loss"]] == ["1", "2", "3", "4"]
    assert [row["step"] for row in rows if row["val_miou"]][-1] == "4"
    assert float(rows[-1]["epoch"]) == pytest.approx(4 * 4 / 24)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file() and path.suffix != ".ckpt")
    assert size < 2e6


def test_checkpoints_hold_plain_values(trained):
    folder = only_run(trained) / "checkpoints"
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in folder.glob("*.ckpt")}
    assert (steps["last.ckpt"], steps["previous.ckpt"]) == (4, 3)
    assert {path.name for path in folder.iterdir()} == {*steps, "best.ckpt", "SHA256SUMS"}


def test_what_a_run_took_is_told_by_the_clock(caplog, monkeypatch, tmp_path):
    """The command's own time, with imports, building and tests, and that of training beside it."""
    folder = RunFolder(tmp_path)
    folder.update_status(state="planned", train_seconds=10.0)
    monkeypatch.setattr(execute, "execute", lambda *_, asked: folder.update_status(train_seconds=14.0))
    with caplog.at_level(logging.INFO, "segsweep"):
        execute_run(folder, {"test": {}}, True, lambda: None, time.monotonic() - 50)
    assert "done in 0:00:50 (0:00:04 of it training)" in caplog.text


def test_the_same_command_again_does_nothing_and_says_so(trained):
    before = {p: p.stat().st_mtime_ns for p in only_run(trained).rglob("*.ckpt")}
    again = segsweep("train", *TINY, "test=[single,flip]", "num_workers=1", cwd=trained)
    assert "done already" in again.stderr
    assert {p: p.stat().st_mtime_ns for p in only_run(trained).rglob("*.ckpt")} == before


def test_further_strategies_are_tested_without_training(trained):
    run = only_run(trained)
    before = (run / "tests" / "single" / "counts.npz").stat().st_mtime_ns
    segsweep("test", run.name[:5], "test=[single,ms]", "test.ms.scales=[1,1.5]", cwd=trained)
    segsweep("test", *TINY, "test=[single]", "test.single.output_stride=8", cwd=trained)
    assert {p.name for p in (run / "tests").iterdir()} == {"single", "flip", "ms1+1.5", "os8_single"}
    assert (run / "tests" / "single" / "counts.npz").stat().st_mtime_ns == before
    cards = {p.name: read_test(p).card for p in (run / "tests").iterdir()}
    assert cards["os8_single"].strategy.plain()["output_stride"] == 8
    assert cards["ms1+1.5"].strategy.plain()["scales"] == [1, 1.5]
    assert len({card.split_hash for card in cards.values()}) == 1


def test_the_figures_are_those_of_the_kept_counts(trained):
    test = read_test(only_run(trained) / "tests" / "flip")
    confusion = test.counts.confusion
    with np.errstate(invalid="ignore"):
        iou = np.diag(confusion) / (confusion.sum(0) + confusion.sum(1) - np.diag(confusion))
    assert test.metrics.miou == pytest.approx(np.nanmean(iou), abs=1e-12)
    assert test.metrics.images == 3


def test_best_weights_are_another_protocol(trained):
    segsweep("test", *TINY, "checkpoint.test=best", cwd=trained)
    card = read_test(only_run(trained) / "tests" / "single-best").card
    assert card.checkpoint.which == "best"
    rows = table("report", cwd=trained)
    assert len(rows) == 2, "numbers of last and best weights stand in tables of their own"


def test_runs_lists_and_explains(trained):
    run = only_run(trained)
    (row,) = table("runs", cwd=trained)
    assert (row["id"], row["state"], row["step"], row["measured"]) == (run.name, "done", 4, "single")
    assert row["miou"] == read_test(run / "tests" / "single").metrics.miou
    (explained,) = table("runs", "show", run.name[:4], cwd=trained)
    assert explained["identity"]["head.rates"] == [1, 2]
    assert explained["tests"]["single"]["protocol"]["split"] == "test"
    read = csv.DictReader(io.StringIO(segsweep("runs", "format=csv", cwd=trained).stdout))
    assert [r["id"] for r in read] == [run.name]
    assert run.name in segsweep("runs", cwd=trained).stdout


def test_a_report_has_figures_and_pictures(trained):
    segsweep("report", "out=page", "title=Rates & rows", cwd=trained)
    markdown, html = ((trained / "page" / name).read_text() for name in ("report.md", "index.html"))
    miou = read_test(only_run(trained) / "tests" / "single").metrics.miou
    assert f"{100 * miou:.2f}" in markdown
    assert "Rates &amp; rows" in html
    pictures = sorted((trained / "page" / "pictures").iterdir())
    assert [p for p in pictures if f"pictures/{p.name}" not in markdown] == []
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.size == (48, 48)
    assert html.count("data:image/") == markdown.count("](pictures/") == len(pictures)


def test_force_trains_again_and_keeps_the_old(trained, tmp_path):
    segsweep("train", *TINY, "runs_dir=here", cwd=tmp_path)
    first = (tmp_path / "here").glob("*/checkpoints/last.ckpt")
    stamp = [p.stat().st_mtime_ns for p in first]
    segsweep("train", *TINY, "runs_dir=here", "force=true", cwd=tmp_path)
    (replaced,) = (tmp_path / "here" / "replaced").iterdir()
    assert [p.stat().st_mtime_ns for p in replaced.glob("checkpoints/last.ckpt")] == stamp
    assert len(table("runs", "runs_dir=here", cwd=tmp_path)) == 1


def test_an_unfinished_run_is_not_tested(tmp_path):
    result = segsweep("test", *TINY, cwd=tmp_path, status=2)
    assert "not trained yet" in result.stderr
    assert list(tmp_path.glob("runs/*/plan.json")) == []


@pytest.mark.slow
def test_a_head_of_ones_own_is_one_file_and_one_yaml(tmp_path):
    (tmp_path / "conf" / "head").mkdir(parents=True)
    (tmp_path / "conf" / "head" / "mine.yaml").write_text("_target_: my_head.Mine\nkernel: 1\n")
    (tmp_path / "my_head.py").write_text(
        "import torch\n"
        "from segsweep.networks.heads.base import Head\n"
        "class Mine(Head):\n"
        "    def __init__(self, channels, reductions, num_classes, kernel):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(channels[-1], num_classes, kernel)\n"
        "    def forward(self, features):\n"
        "        return self.conv(features[-1])\n"
    )
    assert "mine" in segsweep("train", "--help", cwd=tmp_path).stdout
    tiny = [o for o in TINY if not o.startswith("head")]
    segsweep("train", "-m", *tiny, "head=mine,none", cwd=tmp_path)
    assert {row["head"] for row in table("runs", cwd=tmp_path)} == {"mine", "none"}
