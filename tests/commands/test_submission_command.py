"""Predictions through the command line: of splits with truth and without, asked for once and again."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.config.groups import root
from segsweep.evaluation.protocol import read_test
from tests.support.commands import TINY, segsweep, table

# A data set of one's own: Shapes with a benchmark that keeps the truth of `test` to itself.
DATA = """
import os
from segsweep.data.dataset import Submission
from segsweep.data.sets.shapes import Shapes

class Hidden(Shapes):
    test_split = "val"
    if "NO_BENCHMARK" not in os.environ:
        submission = Submission("zip", "{id}.png", {i: i + 1 for i in range(6)}, server="its server")

    def read_split(self, name):
        split = super().read_split(name)
        split.has_truth = name != "test"
        return split
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with one run, trained and tested on val."""
    folder = tmp_path_factory.mktemp("submitted")
    (folder / "my_data.py").write_text(DATA)
    shapes = (
        (root() / "conf" / "dataset" / "shapes.yaml")
        .read_text()
        .replace("segsweep.data.sets.shapes.Shapes", "my_data.Hidden")
    )
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "hidden.yaml").write_text(shapes)
    segsweep("train", "dataset=hidden", *TINY, "test=[single]", cwd=folder)
    return folder


def only_run(folder: Path) -> Path:
    (plan,) = folder.glob("runs/*/plan.json")
    return plan.parent


def labels(archive: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(archive) as zipped:
        return {name: np.array(Image.open(io.BytesIO(zipped.read(name)))) for name in zipped.namelist()}


def stamps(run: Path) -> dict[Path, int]:
    kept = [p for name in ("tests", "predictions", "submissions") for p in run.glob(f"{name}/**/*")]
    return {p: p.stat().st_mtime_ns for p in kept if p.is_file() and p.name != "asked.json"}


def test_predictions_of_a_test_that_is_there_already(trained):
    """As PNGs and as the archive, without a change in the figures; then nothing is left to do."""
    run = only_run(trained)
    before = stamps(run)
    for form in ("png", "submission"):
        first = segsweep("test", run.name, f"predictions={form}", cwd=trained)
        assert "2 predictions, read back and checked" in first.stderr
    made = stamps(run)
    assert {path: made[path] for path in before} == before
    for form in ("png", "submission", "null"):
        again = segsweep("test", run.name, f"predictions={form}", cwd=trained)
        assert "done already" in again.stderr
        assert str(run.relative_to(trained) / "submissions" / "single.zip") in again.stderr
    assert stamps(run) == made
    archived = labels(run / "submissions" / "single.zip")
    assert len(archived) == 2
    for name, stored in archived.items():
        with Image.open(run / "predictions" / "single" / name) as png:
            assert png.mode == "P"
            assert np.array_equal(np.array(png) + 1, stored)
        assert stored.shape == (48, 48)
    assert sorted(archived) == sorted(f"{i}.png" for i in read_test(run / "tests" / "single").counts.ids)


def test_a_split_without_truth_yields_its_archive(trained):
    """And no figures: neither files that pretend to have some, nor rows of lists and reports."""
    run, report = only_run(trained), table("report", cwd=trained)
    listed = table("runs", cwd=trained)
    first = segsweep("test", run.name, "split=test", "test=[flip]", cwd=trained)
    assert "no public truth" in first.stderr
    assert "submissions/flip-test.zip: 3 predictions" in first.stderr
    assert "hand it in at its server" in first.stderr
    assert {path.name for path in (run / "tests" / "flip-test").iterdir()} == {"protocol.json", "asked.json"}
    card = json.loads((run / "tests" / "flip-test" / "protocol.json").read_text())
    assert (card["split"], card["images"], card["label_sizes"]) == ("test", 3, [])
    made = stamps(run)
    again = segsweep("test", "dataset=hidden", *TINY, "split=test", "test=[flip]", cwd=trained)
    assert "done already" in again.stderr
    assert stamps(run) == made
    assert table("report", cwd=trained) == report
    assert table("runs", cwd=trained) == listed
    (explained,) = table("runs", "show", run.name, cwd=trained)
    assert list(explained["tests"]) == ["single"]
    assert str(run.relative_to(trained) / "submissions" / "flip-test.zip") in explained["predictions"]


def test_a_lost_archive_is_made_anew_bit_for_bit(trained):
    run = only_run(trained)
    command = ("test", run.name, "split=test", "test=[single]")
    segsweep(*command, cwd=trained)
    archive = run / "submissions" / "single-test.zip"
    content = archive.read_bytes()
    archive.unlink()
    segsweep(*command, cwd=trained)
    assert archive.read_bytes() == content


def test_without_a_benchmark_a_split_without_truth_yields_pngs(trained):
    run = only_run(trained)
    options = ("split=test", "test=[single]", "test.single.output_stride=8")
    first = segsweep("test", run.name, *options, cwd=trained, NO_BENCHMARK="1")
    assert "predictions/os8_single-test: 3 predictions" in first.stderr
    assert len(list((run / "predictions" / "os8_single-test").glob("*.png"))) == 3
    again = segsweep("test", run.name, *options, cwd=trained, NO_BENCHMARK="1")
    assert "done already" in again.stderr


def test_what_cannot_be_submitted_is_refused_before_anything_is_done(tmp_path):
    for value, message in (
        ("submission", "has no benchmark that takes any"),
        ("jpg", "expected null, png or"),
    ):
        result = segsweep("train", *TINY, f"predictions={value}", cwd=tmp_path, status=2)
        assert f"segsweep: predictions={value}: " in result.stderr
        assert message in result.stderr
    assert list(tmp_path.glob("runs/*/plan.json")) == []
