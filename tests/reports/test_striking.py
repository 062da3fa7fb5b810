"""Which images a gallery shows, against loops over the counts."""

import numpy as np
import pytest

from segsweep.reports.pictures.striking import most_different, pair, striking, worst

CLASSES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """tp, fp, fn of 3 configurations, 9 images and 4 classes, of which images lack some."""
    rng = np.random.default_rng(5)
    found = rng.integers(0, 50, (3, 3, 9, 4))
    return found * (rng.random((9, 4)) < 0.7)


def iou(one: np.ndarray) -> float:
    tp, fp, fn = (int(n) for n in one)
    return tp / (tp + fp + fn) if tp + fp + fn else float("nan")


def miou(one: np.ndarray) -> float:
    """Mean IoU of counts [3, K], absent classes left out."""
    return float(np.nanmean([iou(one[:, k]) for k in range(one.shape[1])]))


def test_the_best_and_the_worst_are_compared(counts):
    mious = [miou(one.sum(1)) for one in counts]
    assert pair(counts) == (mious.index(max(mious)), mious.index(min(mious)))


def test_images_that_differ_most(counts):
    there = [i for i in range(9) if counts[:2, :, i].any()]
    apart = {i: abs(miou(counts[0, :, i]) - miou(counts[1, :, i])) for i in there}
    expected = sorted(apart, key=lambda i: -apart[i])[:4]
    found = most_different(counts[:2], ("x", "y"), 4)
    assert [one.image for one in found] == expected
    assert found[0].why.startswith(f"{100 * apart[expected[0]]:.1f} points of this image's mIoU apart: x ")


def test_the_worst_image_of_each_class(counts):
    one, taken, expected = counts[0], [2], []
    ious = [iou(one[:, :, k].sum(1)) for k in range(4)]
    for k in sorted(range(4), key=lambda k: ious[k]):
        wrong = {i: int(one[1, i, k] + one[2, i, k]) for i in range(9) if i not in taken}
        chosen = max(wrong, key=lambda i: wrong[i])
        taken.append(chosen)
        expected.append((chosen, f"{CLASSES[k]}, x: {wrong[chosen]} pixels wrong"))
    found = worst(one, "x", CLASSES, 3, seen=[2])
    assert [(each.image, each.why.split(", IoU")[0]) for each in found] == expected[:3]


def test_half_of_the_images_are_of_each_rule_and_none_twice(counts):
    found = striking(counts, ("x", "y", "z"), CLASSES, 5)
    assert ["points" in one.why for one in found] == [True, True, True, False, False]
    assert len({one.image for one in found}) == 5
    assert [one.why for one in striking(counts[:1], ("x",), CLASSES, 2)] == [
        one.why for one in worst(counts[0], "x", CLASSES, 2)
    ]


def test_equal_networks_have_no_image_in_which_they_differ(counts):
    assert most_different(counts[[0, 0]], ("x", "y"), 3) == []
    assert pair(counts[[0, 0]]) == (0, 1)
