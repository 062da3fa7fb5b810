"""Losses against plain numpy, and the maps that hold nothing to learn from."""

import math

import numpy as np
import pytest
import torch

from segsweep.errors import ConfigError
from segsweep.training.losses import CrossEntropy, Ohem, SegmentationLoss


def maps(classes=5, size=(7, 9), batch=3, ignored=0.3, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(size=(batch, classes, *size)), dtype=torch.float32, requires_grad=True)
    labels = rng.integers(0, classes, (batch, *size))
    labels[rng.random(labels.shape) < ignored] = 255
    return logits, torch.tensor(labels, dtype=torch.uint8)


def pixel_losses(logits, labels):
    """−log softmax of the true class, pixel by pixel, with the true classes."""
    z = logits.detach().double().numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    where = np.argwhere(labels.numpy() != 255)
    classes = np.array([labels[b, y, x] for b, y, x in where], dtype=int)
    return np.array([-math.log(p[b, c, y, x]) for (b, y, x), c in zip(where, classes, strict=True)]), classes


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits, labels = maps()
    losses, _ = pixel_losses(logits, labels)
    assert float(CrossEntropy()(logits.detach(), labels)) == pytest.approx(losses.mean(), rel=1e-5)


def test_class_weights_make_a_weighted_mean():
    logits, labels = maps()
    weights = np.array([0.1, 2.0, 1.0, 0.0, 3.0])
    losses, classes = pixel_losses(logits, labels)
    expected = (losses * weights[classes]).sum() / weights[classes].sum()
    assert float(CrossEntropy(class_weights=weights)(logits.detach(), labels)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(("threshold", "min_kept"), [(0.7, 0.0625), (0.05, 0.25), (0.01, 1.0), (1.0, 0.1)])
def test_ohem_keeps_the_hard_pixels(threshold, min_kept):
    logits, labels = maps()
    losses, _ = pixel_losses(logits, labels)
    hardest = np.sort(losses)[::-1]
    by_threshold = int((losses >= -math.log(threshold)).sum())
    kept = hardest[: max(by_threshold, math.ceil(min_kept * len(losses)))]
    assert float(Ohem(threshold, min_kept)(logits.detach(), labels)) == pytest.approx(kept.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "loss", [CrossEntropy(), CrossEntropy([1, 2, 3, 4, 5]), Ohem(), Ohem(class_weights=[1] * 5)]
)
def test_nothing_labelled_is_zero_not_nan(loss: SegmentationLoss):
    """All void, in the main map and in an auxiliary one: the loss is zero and so is every gradient."""
    logits, labels = maps(ignored=1.1)
    auxiliary = torch.randn(3, 5, 2, 2, requires_grad=True)
    value = loss(logits, labels, {"aux1": auxiliary})
    value.backward()
    assert float(value.detach()) == 0
    assert float(logits.grad.abs().max()) == 0
    assert float(auxiliary.grad.abs().max()) == 0


def test_an_auxiliary_map_that_sees_only_void_leaves_the_main_loss_alone():
    logits, labels = maps(size=(8, 8), ignored=0)
    labels[:, 1::2] = 255
    labels[:, :, 1::2] = 255
    # Nearest at a quarter of the size takes pixel (2, 2), (2, 6) … which are labelled; at (5, 5) void.
    labels[:, 2::4, 2::4] = 255
    value = CrossEntropy()(logits, labels, {"aux": torch.randn(3, 5, 2, 2)})
    losses, _ = pixel_losses(logits, labels)
    assert float(value.detach()) == pytest.approx(losses.mean(), rel=1e-5)


def test_the_total_is_the_main_loss_and_the_weighted_auxiliaries():
    logits, labels = maps(size=(8, 8), ignored=0.2)
    auxiliary = {"aux3": torch.randn(3, 5, 4, 4), "aux4": torch.randn(3, 5, 2, 2)}
    expected = pixel_losses(logits, labels)[0].mean()
    for other in auxiliary.values():
        step = 8 // other.shape[-1]
        small = labels[:, step // 2 :: step, step // 2 :: step]
        expected += 0.5 * pixel_losses(other, small)[0].mean()
    value = CrossEntropy(auxiliary_weight=0.5)(logits, labels, auxiliary)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)


def test_wrong_settings():
    with pytest.raises(ConfigError, match=r"loss\.class_weights has 2 numbers: expected 3"):
        CrossEntropy([1, 2]).check(3)
    with pytest.raises(ConfigError, match=r"loss\.threshold=0"):
        Ohem(threshold=0)
