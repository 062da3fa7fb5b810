"""What a run's folder has to show to its logger, read from a real one of an older version."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from segsweep.execution.read_results import read_results
from segsweep.runs.folder import RunFolder
from tests.shared import shared

RUN = "261c391cd0ba"


@pytest.fixture
def run(tmp_path) -> RunFolder:
    shutil.copytree(shared("data/runs_camvid") / RUN, tmp_path / RUN, copy_function=shutil.copyfile)
    for folder in (tmp_path / RUN).rglob("*/"):
        folder.chmod(0o755)
    return RunFolder(tmp_path / RUN)


def bootstrap(run: RunFolder) -> tuple[float, float]:
    """Percentiles of the mIoU of 400 test sets, each drawn image by image from the counts."""
    file, random = np.load(run.tests / "single" / "counts.npz"), np.random.default_rng(7)
    drawn = []
    for _ in range(400):
        images = random.integers(0, len(file["ids"]), len(file["ids"]))
        tp, fp, fn = (file[name][images].sum(0) for name in ("tp", "fp", "fn"))
        drawn.append((tp / (tp + fp + fn)).mean())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return low, high


def test_figures_and_classes_have_intervals(run):
    found = read_results(run)
    low, high = bootstrap(run)
    assert found.figures["test/single/miou_low"] == pytest.approx(low, abs=0.003)
    assert found.figures["test/single/miou_high"] == pytest.approx(high, abs=0.003)
    assert [one.name for one in found.evaluations] == ["ms_flip", "single"]
    metrics = json.loads((run.tests / "single" / "metrics.json").read_text())
    classes = found.evaluations[1].classes
    assert {name: own["iou"] for name, own in classes.items()} == {
        name: own["iou"] for name, own in metrics["per_class"].items()
    }
    assert all(own["low"] <= own["iou"] <= own["high"] for own in classes.values())
    assert (found.weights, found.parent) == (None, None)  # its checkpoints are not there


def test_pictures_have_each_tests_map_and_their_own_miou(run):
    pictures = read_results(run).pictures
    assert [picture.name for picture in pictures] == sorted(
        path.name for path in (run.path / "pictures").iterdir()
    )
    picture = pictures[0]
    assert set(picture.maps) == {"truth", "single", "ms_flip"}
    place = run.path / "pictures" / picture.name
    truth, single = (np.array(Image.open(place / f"{name}.png")).astype(int) for name in ("truth", "single"))
    counted = truth != 255
    ious = [
        ((truth == k) & (single == k) & counted).sum() / (((truth == k) | (single == k)) & counted).sum()
        for k in range(11)
        if (((truth == k) | (single == k)) & counted).any()
    ]
    assert picture.figures["miou single"] == pytest.approx(np.mean(ious))


def test_a_damaged_test_is_left_out(run, caplog):
    (run.tests / "single" / "counts.npz").write_bytes(b"damaged")
    shutil.rmtree(run.path / "pictures" / "0001TP_008550")
    (run.path / "pictures" / "Seq05VD_f00450" / "image.jpg").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "segsweep"):
        found = read_results(run)
    assert [one.name for one in found.evaluations] == ["ms_flip"]
    assert [picture.name for picture in found.pictures] == ["Seq05VD_f02790", "Seq05VD_f05100"]
    assert len(caplog.records) == 2


def test_a_picture_with_a_broken_chunk_is_left_out(run, caplog):
    """Pillow raises SyntaxError for it, which is no OSError."""
    file = run.path / "pictures" / "0001TP_008550" / "single.png"
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") - 1] ^= 0x5A  # its length, so that the next chunk has no name
    file.write_bytes(content)
    with pytest.raises(SyntaxError), Image.open(file) as image:
        image.load()
    with caplog.at_level(logging.WARNING, "segsweep"):
        names = [picture.name for picture in read_results(run).pictures]
    assert names == ["Seq05VD_f00450", "Seq05VD_f02790", "Seq05VD_f05100"]
    assert f"{file}: damaged" in caplog.text
