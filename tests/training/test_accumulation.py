"""A step in micro-batches is the step at once, however unevenly its labelled pixels are spread."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segsweep import builders
from segsweep.data.loading import with_labels_of_step
from segsweep.distributed.ranks import Ranks
from segsweep.execution.train import train
from segsweep.runs.folder import RunFolder
from segsweep.training.loggers import RunLogger
from segsweep.training.losses import CrossEntropy, MicroBatch, Ohem, WholeStep
from tests.support.inside import checkpoint, planned, rows, run
from tests.training.ranks import in_group

# One step of eight images, scaled to between a quarter and all of the crop's side: what is left is void.
STEP = (
    "batch_size=8", "trainer.max_steps=1", "trainer.val_every=1", "dataset.train_images=8", "augment=paper",
    "augment.scale_min=0.25", "augment.scale_max=1", "head.dropout=0", "trainer.freeze=[batch_norm]",
    "optimizer.weight_decay=0", "optimizer=sgd", "head.aux=[1,3]", "head.aux_weights=[0.4,2]",
    "loss.class_weights=[0.1,1,2,3,4,5]",
)  # fmt: skip
MICRO_BATCHES = (1, 2, 4)


def step(place: Path, micro_batches: int, *overrides: str) -> RunFolder:
    return planned(*STEP, f"trainer.accumulate_grad_batches={micro_batches}", f"runs_dir={place}", *overrides)


def gradients(folder: RunFolder) -> list[torch.Tensor]:
    """Of the first step: what SGD's momentum has gathered until then."""
    states = checkpoint(folder)["optimizer_states"][0]["state"]
    return [states[index]["momentum_buffer"] for index in sorted(states)]


def assert_same_step(folder: RunFolder, other: RunFolder) -> None:
    assert float(rows(folder)[0]["loss"]) == pytest.approx(float(rows(other)[0]["loss"]), rel=1e-6)
    for one, another in zip(gradients(folder), gradients(other), strict=True):
        torch.testing.assert_close(one, another, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("accumulation")


@pytest.fixture(scope="module")
def at_once(place) -> RunFolder:
    folder = step(place / "one", 1)
    run(folder)
    return folder


def test_the_images_have_unequal_shares_of_void(at_once):
    """So that the mean of the micro-batches' means would be another loss."""
    data = builders.build_data(at_once.config())
    data.trainer = type("T", (), {"max_steps": 1, "accumulate_grad_batches": 4, "global_step": 0,
                                  "world_size": 1, "global_rank": 0})()  # fmt: skip
    shares = [float((batch["label"] != 255).float().mean()) for batch in data.train_dataloader()]
    assert len(shares) == 4
    assert max(shares) > 1.5 * min(shares)


@pytest.mark.parametrize("micro_batches", MICRO_BATCHES[1:])
def test_micro_batches_are_the_step(place, at_once, micro_batches):
    folder = step(place / "one", micro_batches)
    run(folder)
    assert_same_step(folder, at_once)


@pytest.mark.parametrize(
    "micro_batches", [(4,), pytest.param(MICRO_BATCHES, marks=pytest.mark.slow)], ids=["four", "each"]
)
def test_micro_batches_on_two_ranks_are_the_step(tmp_path, at_once, micro_batches):
    folders = [step(tmp_path / "runs", count, "trainer.devices=2") for count in micro_batches]
    in_group(_train_all, 2, tmp_path)
    for folder in folders:
        assert_same_step(folder, at_once)


def _train_all(rank: int, place: Path) -> None:
    """Every run of `place`, as one of two ranks; the group is there."""
    ranks = Ranks(rank, 2, rank, 2)
    os.environ.update(ranks.variables() | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})
    for path in sorted((place / "runs").iterdir()):
        folder = RunFolder(path)
        with folder.hold() if rank == 0 else nullcontext() as lease:
            train(folder, folder.config(), folder.status(), ranks, lease, RunLogger())


def labels(*labelled: int) -> list[torch.Tensor]:
    """Micro-batches of one image of 8 × 8 with so many labelled pixels each."""
    found = []
    for seed, count in enumerate(labelled):
        one = np.full(64, 255, dtype=np.uint8)
        one[:count] = np.random.default_rng(seed).integers(0, 5, count)
        found.append(torch.tensor(one.reshape(1, 8, 8)))
    return found


def in_micro_batches(loss, logits, step) -> float:
    """The step's loss, as gradient accumulation makes it: the mean over micro-batches."""
    whole = WholeStep(step)
    values = [
        loss(logit, label, part=MicroBatch(whole, index))
        for index, (logit, label) in enumerate(zip(logits, step, strict=True))
    ]
    return float(torch.stack(values).mean())


def test_a_void_micro_batch_does_not_dilute_the_others():
    step = labels(64, 0, 3, 0)
    logits = torch.randn(4, 1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = F.cross_entropy(logits[:, 0], torch.cat(step).long(), ignore_index=255)
    assert in_micro_batches(CrossEntropy(), logits, step) == pytest.approx(float(whole), rel=1e-6)


def test_a_void_step_is_zero():
    logits = torch.randn(2, 1, 5, 8, 8)
    assert in_micro_batches(CrossEntropy(), logits, labels(0, 0)) == 0
    assert WholeStep(labels(0, 0)).shares((8, 8)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_micro_batches_of_hard_examples_count_by_their_labelled_pixels(threshold):
    """With a threshold of 1 all pixels are hard: the cross-entropy. Else each chooses among its own."""
    step = labels(64, 0, 16, 40)
    logits = torch.randn(4, 1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    ohem, expected = Ohem(threshold), 0.0
    for logit, label in zip(logits, step, strict=True):
        losses = F.cross_entropy(logit, label.long(), ignore_index=255, reduction="none")
        hard = losses[(label != 255) & (losses >= -np.log(threshold))]
        expected += float(hard.mean()) * int((label != 255).sum()) / 120 if len(hard) else 0.0
    assert in_micro_batches(ohem, logits, step) == pytest.approx(expected, rel=1e-5)
    if threshold == 1:
        assert expected == pytest.approx(in_micro_batches(CrossEntropy(), logits, step), rel=1e-5)


def test_the_loader_reads_one_step_ahead():
    taken: list[int] = []

    def batches():
        for index in range(6):
            taken.append(index)
            yield {"label": index}

    loader = with_labels_of_step(batches(), 3)
    assert next(loader) == {"label": 0, "step_labels": [0, 1, 2]}
    assert taken == [0, 1, 2]
    assert next(loader) == {"label": 1}
    assert taken == [0, 1, 2, 3]
    assert list(loader) == [
        {"label": 2}, {"label": 3, "step_labels": [3, 4, 5]}, {"label": 4}, {"label": 5}
    ]  # fmt: skip
