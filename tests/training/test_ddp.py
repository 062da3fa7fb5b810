"""Training by several ranks: the numbers of one, whoever starts them, also where one of them is lost."""

import shutil
import signal

import numpy as np
import pytest
import torch

from segsweep import builders
from segsweep.data.datamodule import StreamBatchSampler
from segsweep.data.sampling import Shuffle
from segsweep.errors import ConfigError
from segsweep.runs.folder import RunFolder
from tests.execution.test_resume import equal
from tests.support.inside import checkpoint, faulty, planned, rows, run, weights
from tests.training.ranks import do, execute, processes_of

# Validation has one image more than an even share; the third of six steps is followed by one.
OPTIONS = (
    "backbone=resnet18", "head.dropout=0", "optimizer.lr=0.002", "dataset.val_images=3",
    "trainer.on_nan=skip", "checkpoint.every=2", "head.aux=[1]",
    "loss.class_weights=[0.1,1,2,3,4,5]",
)  # fmt: skip
STEPS = 6


def picture(step: int, place: int) -> int:
    """The training picture that is number `place` of the four of a step, both from 0."""
    return int(Shuffle(24, 0).order(0)[4 * step + place])


LOST = picture(4, 3)
"""In rank 1's share of the fifth step: a batch that is dropped."""
TRIGGERS = {"rank1": (1, 2, signal.SIGKILL), "asked": (2, 3, signal.SIGTERM), "rank0": (3, 0, signal.SIGKILL)}
"""What happens to a rank, where there is a file of that name: step and place of the picture, the signal."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ddp")


@pytest.fixture(scope="module")
def faults(place) -> tuple[str, str]:
    lost = [(picture(step, at), int(number), name) for name, (step, at, number) in TRIGGERS.items()]
    return faulty(place, (LOST, "nan", None), *lost)


@pytest.fixture(scope="module")
def alone(place, faults) -> RunFolder:
    folder = planned(*OPTIONS, *faults, f"runs_dir={place / 'alone'}")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def two(place, faults) -> RunFolder:
    """By `trainer.devices` alone."""
    return do(planned(*OPTIONS, *faults, f"runs_dir={place / 'two'}", "trainer.devices=2"))


def losses(folder: RunFolder) -> dict[tuple[str, str], float]:
    named = ("loss", "val_loss", "val_miou", "val_pixel_accuracy")
    return {
        (row["step"], name): float(row[name]) for row in rows(folder) if row for name in named if row[name]
    }


def test_two_ranks_train_as_one(alone, two):
    assert two.id == alone.id, "devices are no part of a run"
    assert len(losses(alone)) == STEPS - 1 + 2 * 3, "one step is dropped, two validations"
    assert losses(two) == pytest.approx(losses(alone), abs=1e-4)
    one, other = weights(alone), weights(two)
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=1e-4, msg=name)
    assert (two.status().dropped_batches, two.status().state) == (1, "done")
    assert f"s0_train_{LOST:05d}" in next(
        line for line in two.log.read_text().splitlines() if "dropped" in line
    )


def test_ranks_hold_different_weights_of_labelled_pixels(alone):
    """So that the mean of the ranks' means would be another loss."""
    split = builders.build_dataset(alone.config()).split("train")
    of_class = np.array([0.1, 1, 2, 3, 4, 5, *[0] * 250])
    first, second = (
        sum(of_class[split[picture(0, at)].label].sum() for at in half) for half in ((0, 1), (2, 3))
    )
    assert abs(first - second) > 0.05 * (first + second)


def test_torchrun_and_devices_give_the_same_bits(place, faults, two):
    folder = do(planned(*OPTIONS, *faults, f"runs_dir={place / 'torchrun'}"), torchrun=2)
    assert_same(folder, two)


def assert_same(folder: RunFolder, other: RunFolder) -> None:
    assert rows(folder) == rows(other)
    for part in ("state_dict", "optimizer_states"):
        assert equal(checkpoint(folder)[part], checkpoint(other)[part]), part


@pytest.mark.slow
def test_lost_ranks(place, faults, two):
    """One killed, one asked to stop, rank 0 killed; then the same command again, and with fewer devices."""
    folder = planned(*OPTIONS, *faults, f"runs_dir={place / 'lost'}", "trainer.devices=2")

    (place / "rank1").touch()
    ended = execute(folder)
    status = folder.status()
    assert (ended.returncode, status.state, status.failure.kind) == (2, "failed", "killed")
    assert status.error == "rank 1: killed by SIGKILL"
    assert processes_of(folder) == []

    (place / "asked").touch()
    ended = execute(folder)
    assert (ended.returncode, folder.status().state) == (128 + signal.SIGTERM, "interrupted")
    assert checkpoint(folder)["global_step"] == 2, "a validation follows the third: it leaves the second"
    assert processes_of(folder) == []

    (place / "rank0").touch()
    assert execute(folder).returncode == -signal.SIGKILL
    assert folder.status().state == "interrupted"
    assert processes_of(folder) == []

    shutil.copytree(place / "lost", place / "fewer")
    assert_same(do(folder), two)
    assert not list(place.glob("rank*[01]")), "each happened"

    # On one device: other bits, the same order and figures; and that is said.
    fewer = planned(*OPTIONS, *faults, f"runs_dir={place / 'fewer'}")
    run(fewer)
    assert "ranks 2 → 1" in fewer.status().environment_changes
    assert losses(fewer) == pytest.approx(losses(two), abs=1e-4)


@pytest.mark.slow
def test_three_ranks(place, faults):
    """One of them with nothing to validate, and the last step of an epoch over its end."""
    options = (*OPTIONS, "batch_size=9", "dataset.val_images=2", "trainer.max_steps=3", "trainer.val_every=3")
    one = planned(*options, f"runs_dir={place / 'one'}")
    run(one)
    three = do(planned(*options, f"runs_dir={place / 'three'}", "trainer.devices=3"))
    assert len(losses(one)) == 3 + 3
    assert losses(three) == pytest.approx(losses(one), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("batch_size=5", "trainer.devices=2"), "batch_size=5: does not divide evenly among 2 devices"),
        (("trainer.devices=zwei",), r"trainer\.devices=zwei: expected a number from 1, or auto"),
        (("trainer.devices=0",), r"trainer\.devices=0: expected a number from 1, or auto"),
        (("trainer.sync_batchnorm=no way",), r"trainer\.sync_batchnorm=no way: expected auto, true or false"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(place, options, said):
    with pytest.raises(ConfigError, match=said):
        planned(*options, f"runs_dir={place / 'wrong'}")
    assert not (place / "wrong").exists()


def test_each_position_of_an_epoch_is_in_one_rank():
    order = Shuffle(24, 0)
    for world in (1, 2, 3, 4):
        seen = [
            draw
            for rank in range(world)
            for batch in StreamBatchSampler(order, 12 // world, total=2, rank=rank, world=world)
            for draw in batch
        ]
        assert sorted(seen) == [(0, index) for index in range(24)]
