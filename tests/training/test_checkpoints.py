"""When checkpoints are due: by steps, by minutes, before a validation, at the end; never within a step."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from segsweep.training import checkpoints
from segsweep.training.checkpoints import LastCheckpoint


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def saved_steps(max_steps: int, accumulate: int = 1, seconds_a_batch: float = 0.0, **when) -> list[int]:
    """Steps at which a run of so many steps saves; validations follow every `val_every` steps."""
    saved: list[int] = []
    trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=accumulate)
    trainer.save_checkpoint = lambda path: saved.append(trainer.global_step)
    last = LastCheckpoint(Path(), max_steps=max_steps, **when)
    trainer.lightning_module = module = nn.Linear(1, 1)
    for batch in range(max_steps * accumulate):
        checkpoints.time.now += seconds_a_batch
        trainer.global_step = (batch + 1) // accumulate
        last.on_train_batch_end(trainer, module, {}, {}, batch)
        if (batch + 1) % accumulate == 0 and trainer.global_step % when["val_every"] == 0:
            last.on_validation_end(trainer, module)
    return saved


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(checkpoints, "time", Clock())


def test_every_so_many_steps_before_each_validation_and_at_the_end():
    assert saved_steps(20, every=6, val_every=10) == [6, 9, 12, 18, 19, 20]


def test_a_step_that_is_validated_is_saved_after_its_validation():
    assert saved_steps(4, every=2, val_every=2) == [1, 2, 3, 4]


def test_only_whole_steps_are_saved():
    assert saved_steps(8, accumulate=3, every=4, val_every=8) == [4, 7, 8]


def test_every_so_many_minutes():
    """20 seconds a micro-batch and two of them a step: more than a minute is two steps."""
    found = saved_steps(9, accumulate=2, seconds_a_batch=20, every=100, val_every=9, minutes=1)
    assert found == [2, 4, 6, 8, 9]
