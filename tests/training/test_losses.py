"""Losses against plain numpy, and the maps that hold nothing to learn from."""

import itertools
import math

import numpy as np
import pytest
import torch

from segsweep.errors import ConfigError
from segsweep.networks import Encoder, EncoderHead, Segmenter
from segsweep.networks.heads.none import NoPyramid
from segsweep.training.losses import CrossEntropy, Ohem, SegmentationLoss, labels_at, labels_in_cascade


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


@pytest.mark.parametrize("classes", [5, 15, 16, 40])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_cross_entropy_and_its_gradient_are_torchs_in_any_layout(classes, weighted, memory_format):
    logits, labels = maps(classes)
    weights = torch.rand(classes) if weighted else None
    expected = torch.nn.functional.cross_entropy(logits, labels.long(), weights, ignore_index=255)
    (gradient,) = torch.autograd.grad(expected, logits)
    own = logits.detach().contiguous(memory_format=memory_format).requires_grad_()
    loss = CrossEntropy(None if weights is None else weights.tolist())(own, labels)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(own.grad, gradient)


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


SUBSETS = [taps for size in range(4) for taps in itertools.combinations((1, 2, 3), size)]
WEIGHTS = {1: 0.5, 2: 1.0, 3: 2.0}


def tapped(taps, target, weights=WEIGHTS) -> Segmenter:
    """A network of three stages whose head offers them as taps, in double precision."""
    torch.manual_seed(0)
    encoder = Encoder("resnet18", output_stride=16, options={"out_indices": (1, 2, 3)})
    head = NoPyramid(encoder.channels, encoder.reductions, 5, width=8, dropout=0)
    head.add_auxiliary(
        encoder.channels, encoder.reductions, 5,
        aux=taps, aux_weights=[weights[t] for t in taps], aux_target=target,
    )  # fmt: skip
    return EncoderHead(encoder, head).double()


def nearest(labels, size):
    """The label at the middle of each cell."""
    rows, columns = (
        ((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(size, labels.shape[1:], strict=True)
    )
    return labels[:, rows][:, :, columns]


def bilinear(maps, size):
    """[B, K, h, w] → [B, K, *size], written out for pixel centres that are aligned."""
    for axis, n in ((2, size[0]), (3, size[1])):
        old = maps.shape[axis]
        at = np.clip((np.arange(n) + 0.5) * old / n - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, old - 1)
        share = (at - low).reshape([-1 if d == axis else 1 for d in range(4)])
        maps = maps.take(low, axis) * (1 - share) + maps.take(high, axis) * share
    return maps


def halved(labels, size):
    """ATONet's released cascade for an image of 36×48: 1/4, 1/8, 1/16, each from the label before."""
    for rows, columns in ((9, 12), (5, 6), (3, 3)):
        at = [np.arange(n) * old // n for n, old in zip((rows, columns), labels.shape[1:], strict=True)]
        labels = labels[:, at[0]][:, :, at[1]]
        if (rows, columns) == tuple(size):
            return labels


DOWN = {"labels_down": nearest, "labels_cascade": halved}


@pytest.mark.parametrize("target", ["labels_down", "labels_cascade", "features_up"])
@pytest.mark.parametrize("taps", SUBSETS)
def test_the_total_is_the_main_loss_and_the_chosen_auxiliaries(taps, target):
    """Every subset of taps, against the losses written out in numpy from the branches' own maps."""
    _, labels = maps(size=(36, 48), batch=2)
    image = torch.rand(2, 3, 36, 48) * 255
    network = tapped(taps, target).train()
    branches = {}
    for name, branch in (network.head.auxiliary.branches if taps else {}).items():
        branch.register_forward_hook(lambda _, __, out, name=name: branches.update({name: out}))
    logits, auxiliary = network.forward_train(image)
    assert list(auxiliary) == [f"aux{tap}" for tap in taps]
    assert [tuple(m.shape[-2:]) for m in branches.values()] == [
        ((9, 12), (5, 6), (3, 3))[t - 1] for t in taps
    ]
    expected = pixel_losses(logits, labels)[0].mean()
    for tap in taps:
        own = branches[f"aux{tap}"].detach().numpy()
        if target in DOWN:
            small = torch.tensor(DOWN[target](labels.numpy(), own.shape[2:]))
            losses = pixel_losses(torch.tensor(own), small)[0]
        else:
            losses = pixel_losses(torch.tensor(bilinear(own, (36, 48))), labels)[0]
        expected += WEIGHTS[tap] * losses.mean()
    loss = CrossEntropy()
    loss.resized = labels_in_cascade if network.cascades_labels else labels_at
    value = loss(logits, labels, auxiliary, network.auxiliary_weights)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", ["labels_down", "features_up"])
def test_the_total_gradient_is_the_sum_of_the_parts(target):
    """The main loss alone, and each tap alone: their weighted gradients add up in every parameter."""
    _, labels = maps(size=(36, 48), batch=2)
    network = tapped((1, 2, 3), target).train()
    loss = CrossEntropy()
    logits, auxiliary = network.forward_train(torch.rand(2, 3, 36, 48) * 255)
    total = loss(logits, labels, auxiliary, network.auxiliary_weights)
    alone = [(1.0, loss(logits, labels))]
    for tap, weight in WEIGHTS.items():
        one = {f"aux{tap}": auxiliary[f"aux{tap}"]}
        # The loss of a tap alone: with the main map's taken off again.
        alone.append((weight, loss(logits, labels, one) - loss(logits, labels)))
    parameters = list(network.parameters())

    def gradients(value):
        return torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)

    parts = [[weight * g for g in gradients(value)] for weight, value in alone]
    for whole, *pieces in zip(gradients(total), *parts, strict=True):
        torch.testing.assert_close(whole, sum(pieces), rtol=1e-4, atol=1e-7)


def test_wrong_settings():
    with pytest.raises(ConfigError, match=r"class_weights=.*: expected 3 numbers"):
        CrossEntropy([1, 2]).check(3)
    with pytest.raises(ConfigError, match=r"^threshold=0"):
        Ohem(threshold=0)
