"""Dice, Lovász, focal and sums of losses against plain numpy, with ignored pixels; and chosen as options."""

import copy

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits

from segsweep import builders
from segsweep.errors import ConfigError
from segsweep.planning.compose import Request, compose
from segsweep.planning.plan import Member
from segsweep.training.loss_sum import Sum
from segsweep.training.losses import (
    CrossEntropy,
    MicroBatch,
    Ohem,
    SegmentationLoss,
    WholeStep,
    labels_in_cascade,
)
from segsweep.training.more_losses import Dice, Focal, Lovasz
from tests.support.commands import TINY, segsweep
from tests.training.test_losses import maps

WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0]
NAME = lambda loss: type(loss).__name__  # noqa: E731
ALL = (Dice(), Dice(1.0, log_loss=True), Dice(class_weights=WEIGHTS), Lovasz(), Focal(), Focal(1, WEIGHTS))


def member(*overrides: str) -> Member:
    (found,) = compose("train", overrides)
    return found


def labelled(logits, labels):
    """Softmax probabilities [P, K] and classes [P] of the labelled pixels, in float64."""
    z = logits.detach().double().numpy().transpose(0, 2, 3, 1)
    p = np.exp(z - z.max(-1, keepdims=True))
    keep = labels.numpy() != 255
    return (p / p.sum(-1, keepdims=True))[keep], labels.numpy()[keep].astype(int)


def dice(p, y, smooth=0.0):
    """1 − (2 Σ p y + 2 s) / (Σ p + Σ y + 2 s) of each class; 0 for one that no pixel has, [K]."""
    found = []
    for k in range(p.shape[1]):
        both, sums = p[y == k, k].sum(), p[:, k].sum() + (y == k).sum()
        found.append(1 - (2 * both + 2 * smooth) / (sums + 2 * smooth) if (y == k).any() else 0.0)
    return np.array(found)


def lovasz(p, y):
    """Σ_i m_(i) (Δ({1…i}) − Δ({1…i−1})) over errors in descending order, Δ the Jaccard loss of a set."""

    def jaccard_loss(missed, truth):
        return len(missed) / len(truth | missed) if missed else 0.0

    found = []
    for k in sorted(set(y)):
        errors = np.where(y == k, 1 - p[:, k], p[:, k])
        truth, missed, total = set(np.flatnonzero(y == k)), set(), 0.0
        for place in np.argsort(-errors, kind="stable"):
            before = jaccard_loss(missed, truth)
            missed = missed | {place}
            total += errors[place] * (jaccard_loss(missed, truth) - before)
        found.append(total)
    return np.mean(found)


@pytest.mark.parametrize("missing", [None, 3])
def test_dice_is_the_mean_over_all_classes_of_the_batch(missing):
    logits, labels = maps()
    if missing is not None:
        labels[labels == missing] = 255
    per_class = dice(*labelled(logits, labels))
    assert float(Dice()(logits.detach(), labels)) == pytest.approx(per_class.mean(), rel=1e-5)
    weights = np.array(WEIGHTS)
    expected = (per_class * weights).sum() / weights.sum()
    assert float(Dice(class_weights=WEIGHTS)(logits.detach(), labels)) == pytest.approx(expected, rel=1e-5)


def test_dice_smooth_and_logarithm():
    logits, labels = maps()
    smooth = dice(*labelled(logits, labels), smooth=3.0)
    assert float(Dice(3.0)(logits.detach(), labels)) == pytest.approx(smooth.mean(), rel=1e-5)
    logarithm = -np.log(1 - smooth)
    assert float(Dice(3.0, True)(logits.detach(), labels)) == pytest.approx(logarithm.mean(), rel=1e-5)


def test_lovasz_is_the_extension_of_the_jaccard_loss_over_present_classes():
    logits, labels = maps(batch=2)
    labels[labels == 2] = 255
    value = float(Lovasz()(logits.detach(), labels))
    assert value == pytest.approx(lovasz(*labelled(logits, labels)), rel=1e-5)


@pytest.mark.parametrize("gamma", [0, 1, 2.0, 3.5])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_is_a_weighted_mean_over_labelled_pixels(gamma, weights):
    logits, labels = maps()
    p, y = labelled(logits, labels)
    true = p[np.arange(len(y)), y]
    w = np.ones(len(y)) if weights is None else np.array(weights)[y]
    expected = (-w * (1 - true) ** gamma * np.log(true)).sum() / w.sum()
    value = Focal(gamma, weights)(logits.detach(), labels)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_focal_and_its_gradient_are_the_librarys():
    logits, labels = maps(ignored=0)
    theirs = softmax_focal_loss_with_logits(logits, labels.long(), gamma=2.0)
    expected = torch.autograd.grad(theirs, logits)
    ours = Focal(2.0)(logits, labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), expected)


@pytest.mark.parametrize("loss", [loss for loss in ALL if not isinstance(loss, Lovasz)], ids=NAME)
def test_gradients_by_finite_differences(loss: SegmentationLoss):
    _, labels = maps(size=(3, 4), batch=2)
    logits = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    loss = copy.deepcopy(loss).double()
    assert torch.autograd.gradcheck(lambda x: loss.map_loss(x, labels.long()), logits, atol=1e-4)


def test_lovaszs_gradient_by_finite_differences():
    """Of the reference above: the library's own computes in single precision alone."""
    logits, labels = maps(size=(3, 4), batch=1)
    (gradient,) = torch.autograd.grad(Lovasz()(logits, labels), logits)
    for place in np.ndindex(logits.shape):
        at = [logits.detach().double().clone() for _ in range(2)]
        for each, step in zip(at, (1e-5, -1e-5), strict=True):
            each[place] += step
        up, down = (lovasz(*labelled(each, labels)) for each in at)
        assert float(gradient[place]) == pytest.approx((up - down) / 2e-5, abs=1e-5)


@pytest.mark.parametrize("loss", [*ALL, Sum({"a": Dice(), "b": Lovasz()}, {})])
def test_nothing_labelled_is_zero_with_a_gradient_of_zero(loss: SegmentationLoss):
    logits, labels = maps(ignored=1.1)
    auxiliary = torch.randn(3, 5, 2, 2, requires_grad=True)
    for training in (True, False):
        value = loss.train(training)(logits, labels, {"aux1": auxiliary})
        value.backward()
        assert float(value.detach()) == 0
    assert float(logits.grad.abs().max()) == float(auxiliary.grad.abs().max()) == 0


@pytest.mark.parametrize("loss", ALL, ids=NAME)
def test_ignored_pixels_have_no_gradient_and_no_say(loss: SegmentationLoss):
    logits, labels = maps()
    value = loss(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    ignored = (labels == 255)[:, None].expand_as(logits)
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()
    other = torch.where(ignored, 100 * torch.randn_like(logits), logits.detach())
    torch.testing.assert_close(loss(other, labels), value.detach())


@pytest.mark.parametrize("loss", ALL, ids=NAME)
def test_half_precision_and_layout_change_nothing_but_rounding(loss: SegmentationLoss):
    logits, labels = maps(classes=5, size=(16, 12))
    expected = loss(logits.detach(), labels)
    half = logits.detach().bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, labels)
    value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-2, atol=1e-3)
    assert half.grad.isfinite().all()


def test_logits_of_any_size_are_finite():
    logits, labels = maps()
    for loss in ALL:
        large = (1e4 * logits.detach()).requires_grad_()
        loss(large, labels).backward()
        assert large.grad.isfinite().all(), type(loss)


def test_micro_batches_are_weighted_by_labelled_pixels():
    """A sum's terms each by their own class weights; a void micro-batch has no share."""
    loss = Sum({"dice": Dice(class_weights=WEIGHTS), "focal": Focal()}, {"dice": 0.5})
    made = [maps(batch=1, seed=seed, ignored=share) for seed, share in enumerate((0.2, 0.9, 1.1))]
    logits, labels = ([one[place] for one in made] for place in (0, 1))
    step = WholeStep(labels)
    found = [
        loss(x.detach(), y, part=MicroBatch(step, index))
        for index, (x, y) in enumerate(zip(logits, labels, strict=True))
    ]
    of_class = [np.append(WEIGHTS, np.zeros(251))[y.numpy()].sum() for y in labels]
    counts = [int((y != 255).sum()) for y in labels]
    expected = sum(
        0.5 * float(Dice(class_weights=WEIGHTS)(x.detach(), y)) * w / sum(of_class)
        + float(Focal()(x.detach(), y)) * n / sum(counts)
        for x, y, w, n in zip(logits, labels, of_class, counts, strict=True)
    )
    assert float(torch.stack(found).mean()) == pytest.approx(expected, rel=1e-5)


def test_a_sum_is_the_weighted_sum_of_its_terms_with_their_auxiliary_losses():
    logits, labels = maps()
    auxiliary, weights = {"aux1": torch.randn(3, 5, 4, 4)}, {"aux1": 0.4}
    terms = {"ohem": Ohem(), "dice": Dice(), "cross_entropy": CrossEntropy(WEIGHTS)}
    value, parts = Sum(terms, {"dice": 0.5, "ohem": 0}).with_parts(logits, labels, auxiliary, weights)
    alone = {name: term(logits, labels, auxiliary, weights) for name, term in sorted(terms.items())}
    torch.testing.assert_close(parts, torch.stack(list(alone.values())).detach())
    torch.testing.assert_close(value, alone["cross_entropy"] + 0.5 * alone["dice"])
    assert Sum(terms, {}).parts == ("cross_entropy", "dice", "ohem")


def test_a_sum_resizes_labels_as_the_network_wants_it():
    logits, labels = maps(size=(16, 16))
    coarse = {"aux1": torch.randn(3, 5, 4, 4)}
    one, several = CrossEntropy(), Sum({"a": CrossEntropy(), "b": Dice()}, {"b": 0})
    for loss in (one, several):
        loss.resize_labels_by(labels_in_cascade)
    torch.testing.assert_close(several(logits, labels, coarse), one(logits, labels, coarse))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss=sum"], r"^loss.terms: there are none; give several losses: loss=\[cross_entropy,dice\]"),
        (["loss=[dice,focal]", "loss.weights.dice=-1"], "^loss.weights.dice=-1: expected a number of"),
        (["loss=[dice,focal]", "loss.weights.dice=0", "loss.weights.focal=0"], "^loss.weights=.*above 0"),
        (["loss=[dice,focal]", "loss.terms.focal.gamma=0.5"], "^loss.terms.focal.gamma=0.5: expected 0, or"),
        (["loss=[dice,focal]", "loss.terms.focal.gama=1"], "focal has no such option.*gamma"),
        (["loss=[dice,focal]", "loss.terms.ohem.min_kept=1"], "^loss.terms.ohem.min_kept: ohem is not among"),
        (["loss=[dice,focal]", "loss.weights.dise=1"], "^loss.weights.dise: no such loss; did you mean dice"),
        (["loss=[dice,focal]", "loss.terms.dice.class_weights=[1,2]"], "^loss.terms.dice.class_weights=.*6 "),
        (["loss=[dice,dise]"], "^loss=dise: no such choice; did you mean dice"),
        (["loss=dice", "loss.smooth=-1"], "^loss.smooth=-1: expected a number of at least 0"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_when_planning(overrides, message):
    with pytest.raises(ConfigError, match=message):
        builders.build_loss(member(*overrides).config)


def test_several_losses_are_one_choice():
    both = member("loss=[cross_entropy,dice]", "loss.terms.dice.smooth=1")
    assert both.choices["loss"] == "cross_entropy+dice"
    assert both.id == member("loss=[dice,cross_entropy]", "loss.terms.dice.smooth=1.0").id
    assert both.overrides == ("loss=[cross_entropy,dice]", "loss.terms.dice.smooth=1")
    assert member("loss=[dice]").id == member("loss=dice").id
    assert {key: value for key, value in both.identity.items() if key.startswith("loss.")} == {
        "loss._target_": "Sum",
        "loss.terms.cross_entropy._target_": "CrossEntropy",
        "loss.terms.dice._target_": "Dice",
        "loss.terms.dice.log_loss": False,
        "loss.terms.dice.smooth": 1,
        "loss.weights.cross_entropy": 1,
        "loss.weights.dice": 1,
    }


def test_a_sweep_over_losses_and_their_sums():
    asked = ["-m", "loss=dice,[dice,focal],[focal,dice]", "loss.weights.focal=0.5,2"]
    members = Request("train", asked).compose().sound()
    assert [len(members), len({one.id for one in members})] == [5, 3]
    assert members[0].id == member("loss=dice").id


def test_parts_are_columns_of_the_metrics(tmp_path):
    segsweep("train", *TINY, "loss=[cross_entropy,lovasz]", "loss.weights.lovasz=0.5", "test=[]",
             "trainer.accumulate_grad_batches=2", "trainer.log_every=2", cwd=tmp_path)  # fmt: skip
    (file,) = tmp_path.glob("runs/*/metrics.csv")
    head, *lines = file.read_text().splitlines()
    rows = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    losses = [row for row in rows if row["loss"]]
    assert len(losses) == 2
    for row in losses:
        sum_of_parts = float(row["loss/cross_entropy"]) + 0.5 * float(row["loss/lovasz"])
        assert float(row["loss"]) == pytest.approx(sum_of_parts, rel=1e-6)
        assert 0 < float(row["loss/lovasz"]) < 1
