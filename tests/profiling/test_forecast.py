"""Estimates of memory and disk against sums by hand, and against what torch itself keeps and writes."""

import io

import pytest
import torch

from segsweep.builders import build, build_segmenter
from segsweep.profiling.forecast import cost
from segsweep.profiling.size import saved_for_backward
from tests.support.composing import member

SMALL = ("backbone=resnet18", "head=none", "head.width=8", "size=[64,96]", "batch_size=4")
# torchvision's count for ResNet-18, less its classifier.
ENCODER = 11_689_512 - 512 * 1000 - 1000


def config(*overrides):
    """A small run's."""
    return member(*SMALL, *overrides).config


def test_parameters_by_hand():
    """SGD keeps a momentum for each parameter, AdamW two moments and a count of steps a tensor."""
    segmenter = build_segmenter(config(), load_weights=False)
    assert sum(p.numel() for p in segmenter.encoder.parameters()) == ENCODER
    head = sum(p.numel() for p in segmenter.head.parameters())
    tensors = len(list(segmenter.parameters()))
    sgd, adam = cost(config()), cost(config("optimizer=adamw"))
    assert sgd.parameters == ENCODER + head
    assert sgd.gradients == sgd.optimizer == 4 * (ENCODER + head)
    assert adam.optimizer == 2 * sgd.gradients + 4 * tensors
    assert cost(config("optimizer.momentum=0")).optimizer == 0
    statistics = sgd.weights - 4 * (ENCODER + head)
    assert 0 < statistics < 0.01 * sgd.weights, "BatchNorm's"
    assert (sgd.average, cost(config("trainer.ema_decay=0.9")).average) == (0, sgd.weights)
    frozen = cost(config("trainer.freeze=[encoder]"))
    assert frozen.gradients == frozen.optimizer == 4 * head
    assert frozen.activations < sgd.activations / 5
    assert sgd.memory == sgd.weights + sgd.gradients + sgd.optimizer + sgd.activations


def test_activations_are_those_kept_and_three_times_the_logits():
    with torch.device("meta"):
        segmenter = build_segmenter(config(), load_weights=False)
        image = torch.empty(4, 3, 64, 96, dtype=torch.uint8)
    kept = saved_for_backward(segmenter, image)
    classes = config()["num_classes"]
    assert cost(config()).activations == kept + 3 * (4 * 4 * classes * 64 * 96)
    halves = cost(config("trainer.accumulate_grad_batches=2"))
    assert halves.activations == pytest.approx(cost(config()).activations / 2, rel=0.01)
    mixed = cost(config("trainer.precision=bf16-mixed"))
    assert mixed.weights == cost(config()).weights
    assert kept / 2.1 < mixed.activations < cost(config()).activations


def test_checkpoints_are_as_large_as_torch_writes_them():
    options = config("optimizer=adamw")
    segmenter = build_segmenter(options, load_weights=False)
    optimizer = build(options, "optimizer")(segmenter)
    for parameter in segmenter.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    last, best = io.BytesIO(), io.BytesIO()
    torch.save({"weights": segmenter.state_dict(), "optimizer": optimizer.state_dict()}, last)
    torch.save(segmenter.state_dict(), best)
    written = len(last.getvalue()) + len(best.getvalue())
    assert cost(options).checkpoints == pytest.approx(written, rel=0.01)


def test_a_learning_rate_makes_no_other_cost():
    assert cost(config("optimizer.lr=0.5", "seed=3")) is cost(config())
