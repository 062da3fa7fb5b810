"""What a run leaves in its process: neither its network and optimizers, nor its signal handlers."""

import gc
import signal
import weakref

import pytest

from segsweep import builders
from segsweep.processes import ASKING
from segsweep.training import fit
from segsweep.training.task import SegmentationTask
from tests.support import inside


@pytest.fixture
def made(monkeypatch) -> list[weakref.ref]:
    """The tasks and trainers that runs make, and their optimizers."""
    found: list[weakref.ref] = []

    def noted(make):
        def make_and_note(*arguments):
            one = make(*arguments)
            found.append(weakref.ref(one))
            return one

        return make_and_note

    monkeypatch.setattr(builders, "build_task", noted(builders.build_task))
    monkeypatch.setattr(fit, "build_trainer", noted(fit.build_trainer))
    start = SegmentationTask.on_train_start

    def note_optimizer(task):
        found.extend((weakref.ref(task.optimizers().optimizer), weakref.ref(task.segmenter)))
        start(task)

    monkeypatch.setattr(SegmentationTask, "on_train_start", note_optimizer)
    return found


def test_a_run_that_is_over_holds_nothing(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in ASKING}
    inside.run(inside.planned("test=[single]", "trainer.max_steps=2", "trainer.val_every=2"))
    assert {number: signal.getsignal(number) for number in ASKING} == before
    gc.collect()
    assert [one() for one in made] == [None] * 4
