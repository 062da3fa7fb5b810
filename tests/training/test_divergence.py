"""Losses are read together and late, and still before anything relies on them."""

from pathlib import Path

import pytest
import torch

from segsweep.data.sampling import Shuffle
from segsweep.errors import DivergenceError
from segsweep.runs.folder import RunFolder
from segsweep.training.divergence import FiniteWatch
from tests.support.inside import checkpoint, different, faulty, planned, rows, run, weights

TWENTY = ("dataset.train_images=80", "trainer.max_steps=20", "trainer.val_every=20", "checkpoint.every=20")
AT_7 = int(Shuffle(80, 0).order(0)[6 * 4 + 1])
"""A picture of the seventh step."""


def losses(folder: RunFolder) -> dict[int, float]:
    return {int(row["step"]): float(row["loss"]) for row in rows(folder) if row["loss"]}


def test_reading_rarely_changes_nothing(tmp_path):
    often, rarely = (
        planned(*TWENTY, f"trainer.log_every={n}", f"runs_dir={tmp_path / str(n)}") for n in (1, 10)
    )
    run(often)
    run(rarely)
    each = losses(often)
    assert sorted(each) == list(range(1, 21))
    means = {10: sum(each[i] for i in range(1, 11)) / 10, 20: sum(each[i] for i in range(11, 21)) / 10}
    assert losses(rarely) == pytest.approx(means, rel=1e-12)
    assert different(weights(often), weights(rarely)) == []


@pytest.mark.parametrize(("every", "left"), [(20, None), (3, 6)])
def test_a_loss_read_late_leaves_no_checkpoint_and_names_its_step(tmp_path, every, left):
    """Between rows that come every ten steps, a checkpoint is the first to ask, or the row itself."""
    options = ("trainer.log_every=10", f"checkpoint.every={every}", f"runs_dir={tmp_path / 'runs'}")
    folder = planned(*TWENTY, *options, *faulty(tmp_path, (AT_7, "nan", None)))
    with pytest.raises(DivergenceError, match=rf"step 7: the loss is nan on samples .*{AT_7:05d}") as raised:
        run(folder)
    assert len(raised.value.ids) == 4
    assert left is None or checkpoint(folder)["global_step"] == left
    assert [path.name for path in Path(folder.checkpoints).glob("last.ckpt")] == ["last.ckpt"] * bool(left)
    assert losses(folder) == {}, "no row holds the mean of NaN"


def test_nothing_is_read_between_the_readings(monkeypatch):
    """And the step of a micro-batch is that which it is part of."""

    class Trainer:
        accumulate_grad_batches, global_step = 2, 0

    watch, read = FiniteWatch(every=3), []
    monkeypatch.setattr(watch, "read", lambda: read.append([step for step, *_ in watch.unread]))
    loss = torch.tensor(1.0)
    for batch_idx in range(8):
        Trainer.global_step = (batch_idx + 1) // 2
        watch.on_train_batch_end(Trainer(), None, {"whole": loss, "loss": loss}, {"id": ["a"]}, batch_idx)
    assert read == [[1, 1, 2, 2, 3, 3]]
