"""Batches reach the training whether or not shared memory has room for them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from segsweep.data import parallel
from segsweep.data.datamodule import DataModule
from segsweep.data.sets.shapes import Shapes
from segsweep.errors import UserError

ROOT = Path(__file__).parents[2]


def batches(workers: int) -> list[dict]:
    data = DataModule(Shapes(size=64, val_images=3), size=64, batch_size=2, num_workers=workers)
    return list(data.val_dataloader())


def no_room(tensor):
    raise RuntimeError(
        "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
    )


def test_batches_come_through_pipes_where_shared_memory_has_no_room(monkeypatch, caplog):
    """torch puts them there in a thread, whose error loses the batch, and waits for it for ever."""
    expected = batches(0)
    monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)  # workers are forks and have it too
    found = batches(1)
    assert [batch["id"] for batch in found] == [batch["id"] for batch in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])
    said = [record.message for record in caplog.records if "no room" in record.message]
    assert len(said) == 1, "once for all batches"
    assert "--shm-size" in said[0]


def test_no_room_even_for_the_queues_is_a_line(monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DataLoader, "__iter__", full)
    with pytest.raises(UserError, match=r"shared memory \(/dev/shm\) has no room .*num_workers=0"):
        batches(1)
    with pytest.raises(OSError, match="No space left"):
        batches(0)
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", full)
    with pytest.raises(UserError, match=r"shared memory \(/dev/shm\) has no room .* or workers=0"):
        list(parallel.spread(print, ["x"], 1))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small /dev/shm takes root")
@pytest.mark.parametrize(("size", "words"), [("64k", "3 batches"), ("8k", "UserError: shared memory")])
def test_a_real_shared_memory_that_is_too_small(size, words):
    code = "from tests.data.test_shared_memory import batches; print(len(batches(2)), 'batches')"
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "-m", "bash", "-c", mount, "-", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "mount" in done.stderr.split("\n")[0]:
        pytest.skip("this machine does not let tests mount a disk")
    assert words in done.stdout + done.stderr
