"""Checkpoints on disk: the last two kept, damage found, nothing half-written under a checkpoint's name."""

import errno
import hashlib
import multiprocessing
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from segsweep.runs.layout import BEST, LAST, PREVIOUS, SUMS
from segsweep.training.checkpoint_files import (
    AtomicCheckpointIO,
    DamagedCheckpointError,
    newest,
    read_checkpoint,
    verify,
)


def save(folder, step, name=LAST):
    AtomicCheckpointIO().save_checkpoint(
        {"step": step, "weights": torch.full((50,), float(step))}, folder / name
    )


def step_of(path):
    return read_checkpoint(path)["step"]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def refuse_links(*_: object, **__: object) -> None:
    raise OSError(errno.ENOTSUP, "Operation not supported")


@pytest.mark.parametrize("link", [os.link, refuse_links])
def test_the_last_two_are_kept_with_sums_that_sha256sum_agrees_with(tmp_path, link, monkeypatch):
    """On a file system without hard links as well."""
    monkeypatch.setattr(os, "link", link)
    for step in (1, 2, 3):
        save(tmp_path, step)
    save(tmp_path, 9, BEST)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([SUMS, BEST, LAST, PREVIOUS])
    assert (step_of(tmp_path / LAST), step_of(tmp_path / PREVIOUS)) == (3, 2)
    assert newest(tmp_path) == tmp_path / LAST
    checked = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": OK") == 3


@pytest.mark.parametrize("damage", [flip_a_bit, lambda path: os.truncate(path, 700)])
def test_a_damaged_one_is_reported_and_the_one_before_it_taken(tmp_path, damage, caplog):
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path / LAST)
    assert newest(tmp_path) == tmp_path / PREVIOUS
    assert f"{tmp_path / LAST} is damaged" in caplog.text
    save(tmp_path, 2)
    assert newest(tmp_path) == tmp_path / LAST


def test_none_that_is_whole_is_an_error_and_none_at_all_is_a_fresh_start(tmp_path):
    assert newest(tmp_path) is None
    save(tmp_path, 1)
    flip_a_bit(tmp_path / LAST)
    with pytest.raises(DamagedCheckpointError, match="force=true"):
        newest(tmp_path)


def test_one_written_before_there_were_sums_is_read(tmp_path):
    torch.save({"step": 4}, tmp_path / LAST)
    assert newest(tmp_path) == tmp_path / LAST
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:200])
    with pytest.raises(DamagedCheckpointError):
        newest(tmp_path)


@pytest.mark.parametrize("at", [0, 40, 63, 64, 66, 70])
def test_a_flipped_bit_in_the_list_of_sums_is_told_from_a_damaged_checkpoint(tmp_path, at, caplog):
    """In the sum, the space behind it, the name: the checkpoint is taken, and the next one lists it anew."""
    save(tmp_path, 1)
    content = bytearray((tmp_path / SUMS).read_bytes())
    content[at] ^= 1
    (tmp_path / SUMS).write_bytes(bytes(content))
    assert newest(tmp_path) == tmp_path / LAST
    assert f"{tmp_path / SUMS} is damaged" in caplog.text
    assert f"{LAST}, which is whole" in caplog.text
    flip_a_bit(tmp_path / LAST)
    with pytest.raises(DamagedCheckpointError):
        newest(tmp_path)
    save(tmp_path, 2)
    assert verify(tmp_path / LAST) is None


def test_another_checkpoint_in_its_place_is_not_taken_for_a_damaged_list(tmp_path):
    save(tmp_path, 1)
    save(tmp_path / "other", 2)
    (tmp_path / LAST).write_bytes((tmp_path / "other" / LAST).read_bytes())
    with pytest.raises(DamagedCheckpointError):
        newest(tmp_path)


class Killed(BaseException):
    """In place of a kill: nothing of ours catches it."""


@pytest.mark.parametrize("moment", range(8))
def test_at_every_rename_each_files_sum_is_listed(tmp_path, monkeypatch, moment):
    """Killed at any rename of a third checkpoint, and once more of a fourth: every file verifies."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    for step in (3, 4):
        left = iter(range(moment))
        original = Path.replace

        def replace(self, target, left=left, original=original):
            if next(left, None) is None:
                raise Killed
            return original(self, target)

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(Path, "replace", replace)
            save(tmp_path, step)
        for path in tmp_path.glob("*.ckpt"):
            assert verify(path) is None, path
    save(tmp_path, 5)
    checked = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def write_on(folder, first, said):
    """Save one checkpoint after the other, and say which are written."""
    for step in range(first, 100_000):
        save(folder, step)
        with said.open("a") as file:
            file.write(f"{step}\n")


def test_killed_while_writing_again_and_again_there_is_always_a_whole_one(tmp_path):
    """The kill falls anywhere in the sequence of writes and renames; what counted as written is there."""
    said, first = tmp_path / "said", 0
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["segsweep.training.checkpoint_files"])
    for attempt in range(25):
        process = context.Process(target=write_on, args=(tmp_path / "checkpoints", first, said))
        process.start()
        while not said.exists() or len(said.read_text().split()) <= attempt:
            time.sleep(0.001)
        time.sleep(0.002 * attempt)
        process.kill()
        process.join()
        written = int(said.read_text().split()[-1])
        last = tmp_path / "checkpoints" / LAST
        assert newest(last.parent) == last
        assert step_of(last) >= written
        assert hashlib.sha256(last.read_bytes()).hexdigest() in (last.parent / SUMS).read_text()
        first = step_of(last) + 1
