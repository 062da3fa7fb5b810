"""A training step on a GPU: nothing is read in it, and each way to compute it gives the same losses."""

import pytest
import torch

from segsweep.data.transfer import SideStream, tensors_of
from segsweep.errors import DivergenceError
from segsweep.training.recorder import Recorder
from tests.support.inside import checkpoint, faulty, planned, rows, run, step_of

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
ON_GPU = (
    "trainer.accelerator=gpu", "head=ksac", "head.aux=[1]", "head.dropout=0", "size=96",
    "dataset.train_images=80", "trainer.max_steps=12", "trainer.val_every=12", "trainer.log_every=12",
    "checkpoint.every=12",
)  # fmt: skip


def losses(folder) -> list[float]:
    return [float(row["loss"]) for row in rows(folder) if row["loss"]]


@needs_gpu
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("optimizer=adamw", "loss=ohem", "loss.class_weights=[1,2,3,4,5,6]"),
        ("loss=[dice,focal]", "loss.terms.dice.class_weights=[1,2,3,4,5,6]"),
        ("trainer.ema_decay=0.9", "trainer.gradient_clip_val=1", "trainer.accumulate_grad_batches=2"),
    ],
    ids=["sgd", "ohem", "dice", "average"],
)
def test_gpu_reads_nothing_between_the_readings(tmp_path, monkeypatch, options):
    """From the fourth micro-batch on, torch raises for whatever waits for the device."""
    seen = []

    def strict(recorder, trainer, module, batch, batch_idx):
        seen.append(batch_idx)
        torch.cuda.set_sync_debug_mode("error" if 4 <= batch_idx < 8 else "default")
        original(recorder, trainer, module, batch, batch_idx)

    original = Recorder.on_train_batch_start
    monkeypatch.setattr(Recorder, "on_train_batch_start", strict)
    try:
        run(planned(*ON_GPU, *options, "trainer.precision=bf16-mixed", f"runs_dir={tmp_path}"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(seen) >= 12


@needs_gpu
@pytest.mark.filterwarnings("ignore")
def test_gpu_graphs_train_as_plain_steps(tmp_path):
    """With CUDA graphs, and with micro-batches, which use none; 32 bits, so that rounding stays small."""
    every = ("trainer.log_every=1", "trainer.precision=32-true", "optimizer.lr=0.001")
    for name, options in (("whole", ()), ("halves", ("trainer.accumulate_grad_batches=2",))):
        plain, compiled = (
            planned(*ON_GPU, *every, *options, f"trainer.compile={how}", f"runs_dir={tmp_path / name / how}")
            for how in ("false", "true")
        )
        run(plain)
        run(compiled)
        assert losses(compiled) == pytest.approx(losses(plain), rel=0.02), name
        assert checkpoint(plain)["state_dict"].keys() == checkpoint(compiled)["state_dict"].keys()


@needs_gpu
def test_gpu_divergence_names_its_step(tmp_path):
    picture = next(one for one in range(24) if step_of(one) == 3)
    options = ("trainer.accelerator=gpu", "trainer.log_every=6", "checkpoint.every=6")
    folder = planned(*options, f"runs_dir={tmp_path / 'runs'}", *faulty(tmp_path, (picture, "nan", None)))
    with pytest.raises(DivergenceError, match="step 3"):
        run(folder)


@needs_gpu
def test_gpu_batches_arrive_whole():
    device, stream = torch.device("cuda"), SideStream()
    for value in range(20):
        there = torch.full((8, 3, 512, 512), value, dtype=torch.uint8).pin_memory()
        moved = stream(lambda there=there: {"image": there.to(device, non_blocking=True)}, device)
        assert bool((moved["image"] == value).all())


def test_the_cpu_takes_the_batch_as_it_is():
    batch = {"image": torch.ones(2), "id": ["a"], "step_labels": [torch.ones(1), torch.zeros(1)]}
    stream = SideStream()
    assert stream(lambda: batch, torch.device("cpu")) is batch
    assert stream.stream is None
    assert [len(tensor) for tensor in tensors_of(batch)] == [2, 1, 1]
