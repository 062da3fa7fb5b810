"""Cards that keep unlike numbers apart, and tests that are whole on disk or not there."""

import numpy as np
import pytest
from PIL import Image

from segsweep.data.sample import Sample
from segsweep.errors import DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.predictions import PictureWriter
from segsweep.evaluation.protocol import (
    comparable,
    describe_sizes,
    differences,
    is_test,
    protocol_card,
    read_test,
    write_test,
)
from segsweep.evaluation.strategies import Strategy


def counts(size=(6, 8)):
    made = Counts(2)
    made.update("a", np.zeros(size, np.uint8), np.ones(size, np.uint8))
    return made


def card(**changes):
    settings = {
        "dataset": "camvid",
        "split": "test",
        "split_hash": "abc",
        "image_sizes": counts().sizes,
        "label_sizes": counts().sizes,
        "strategy": Strategy(),
        "num_classes": 2,
        "checkpoint": "last",
        "selected_on": "val",
        "step": 10,
        "checkpoint_hash": "1",
        "initial_weights": "random",
        "precision": "float32",
    }
    return protocol_card(**{**settings, **changes})


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"split_hash": "abd"}, "split_hash"),
        ({"split": "val"}, "split"),
        ({"checkpoint": "best"}, "selection"),
        ({"label_sizes": counts((8, 6)).sizes}, "label_sizes"),
        ({"precision": "bfloat16"}, "precision"),
        ({"dataset": "shapes"}, "dataset"),
    ],
)
def test_numbers_measured_differently_are_told_apart(change, key):
    assert key in differences(card(), card(**change))
    assert comparable(card()) != comparable(card(**change))


@pytest.mark.parametrize(
    "change",
    [{"strategy": Strategy(flip=True)}, {"step": 20}, {"checkpoint_hash": "2"}, {"initial_weights": "timm"}],
)
def test_what_a_row_or_a_column_tells_does_not_part_tables(change):
    assert differences(card(), card(**change)) == {}


def test_a_card_says_how_its_weights_were_selected():
    """Weights that are best on the very images of the test flatter it: such figures stand apart."""
    best = {
        on: comparable(card(split=split, checkpoint="best", selected_on=on))["selection"]
        for split, on in (("test", "val"), ("val", "val2"))
    }
    assert best == {"val": "best on val", "val2": "best on val2"}
    flattered = card(split="test", checkpoint="best", selected_on="test")
    assert flattered.selection == "best on the evaluated split"
    fair = card(split="test", checkpoint="best")
    assert differences(fair, flattered) == {"selection": ("best on val", "best on the evaluated split")}
    for which, selection in (("last", "last"), ("best", "best on val")):
        plain = card(checkpoint=which).plain()
        del plain["selection"]
        assert comparable(type(fair).of(plain))["selection"] == selection, "of an older version"


def test_the_centre_of_images_is_another_protocol_than_the_whole():
    """The sizes that were seen and counted tell them apart, while strategies may stand in one table."""
    size = (2048, 1024)
    whole = card(image_sizes=[size], label_sizes=[size])
    centre = card(
        image_sizes=[(1024, 1024)], label_sizes=[(1024, 1024)], strategy=Strategy(crop=(1024, 1024))
    )
    assert differences(whole, centre).keys() == {"image_sizes", "label_sizes"}
    assert centre.strategy.plain()["crop"] == [1024, 1024]


def test_sizes_are_listed_or_bounded():
    assert describe_sizes({(480, 360)}) == ("480x360",)
    assert describe_sizes((10 + i, 20 - i) for i in range(7)) == "10x14 to 16x20, 7 sizes"


def test_a_test_is_written_whole(tmp_path, monkeypatch):
    write_test(tmp_path / "single", counts(), ["x", "y"], card())
    read = read_test(tmp_path / "single")
    assert read.metrics.miou == 0
    assert read.card == card()
    assert np.array_equal(read.counts.confusion, [[0, 0], [48, 0]])

    def fail(*args):
        raise OSError("pulled the plug")

    monkeypatch.setattr("segsweep.evaluation.protocol.os.fsync", fail)
    with pytest.raises(OSError, match="plug"):
        write_test(tmp_path / "flip", counts(), ["x", "y"], card())
    assert not (tmp_path / "flip").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["single"]


def test_a_draft_or_a_part_of_a_test_is_none(tmp_path):
    write_test(tmp_path / "single", counts(), ["x", "y"], card())
    (tmp_path / "single").rename(tmp_path / ".single.k3")  # what a killed process leaves behind
    assert not is_test(tmp_path / ".single.k3")
    write_test(tmp_path / "single", counts(), ["x", "y"], card(step=20))
    write_test(tmp_path / "single", counts(), ["x", "y"], card(step=30))  # replaces
    assert read_test(tmp_path / "single").card.checkpoint.step == 30
    (tmp_path / "single" / "protocol.json").unlink()
    with pytest.raises(DataError, match="not a complete test"):
        read_test(tmp_path / "single")


def test_bookkeeping_of_camvids_test_stays_small(tmp_path):
    made, rng = Counts(11), np.random.default_rng(0)
    for i in range(233):
        label, prediction = rng.integers(0, 11, (2, 36, 48), dtype=np.uint8)
        made.update(f"0001TP_{i:06d}", prediction, label)
    write_test(tmp_path / "single", made, [f"class{k}" for k in range(11)], card())
    assert sum(path.stat().st_size for path in (tmp_path / "single").iterdir()) < 300_000


def test_pictures_are_palette_pngs_of_evenly_spread_images(tmp_path):
    palette = ((10, 20, 30), (40, 50, 60))
    writer = PictureWriter(tmp_path, [f"i{n}" for n in range(9)], palette, count=3)
    label = np.array([[0, 1], [255, 1]], np.uint8)
    for n in range(9):
        writer(Sample(np.zeros((2, 2, 3), np.uint8), label, f"i{n}"), {"single": label})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i0", "i4", "i8"]
    picture = Image.open(tmp_path / "i4" / "single.png")
    assert np.array_equal(np.asarray(picture), label)
    assert picture.convert("RGB").getpixel((1, 0)) == (40, 50, 60)
