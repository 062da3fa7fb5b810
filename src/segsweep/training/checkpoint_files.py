"""Checkpoint files that are whole or absent, with checksums that detect later damage.

Lightning's own save writes into the temporary folder and moves the file from there, which on another file
system is a copy that a kill can cut in half. Here a checkpoint is written beside its target, synced to disk
and renamed; the one that it replaces is kept as previous.ckpt (check both with `sha256sum -c SHA256SUMS`).
"""

import errno
import logging
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from segsweep.errors import UserError
from segsweep.files import digest, draft_of
from segsweep.runs.layout import LAST, PREVIOUS, SUMS
from segsweep.training.checksums import is_misprint, read_sums, write_sums

SEGMENTER = "segmenter."  # prefix of the segmenter's tensors in a task's state dict

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links, such as exFAT and mounted object stores."""

log = logging.getLogger("segsweep")


class DamagedCheckpointError(UserError):
    """A checkpoint differs from what was written."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes whole files and loads with `weights_only=True`.

    Args:
        check: called after a checkpoint is written and before it is renamed; may raise.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.check = check

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path` atomically; an existing last.ckpt becomes previous.ckpt.

        Raises:
            UserError: the disk is full or cannot be written; an older file at `path` is untouched.
        """
        target = Path(path)
        draft = draft_of(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w+b") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            self.check()
            _put_in_place(draft, target)
        except UserError:
            draft.unlink(missing_ok=True)
            raise
        except (OSError, RuntimeError) as error:
            draft.unlink(missing_ok=True)
            # torch's writer hides the disk's error behind its own.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise UserError(
                f"checkpoint {target} could not be written ({cause.strerror}); the one before it is whole: "
                "free space on that disk and give the same command again"
            ) from cause

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint, see `read_checkpoint`."""
        return read_checkpoint(Path(path))


def _put_in_place(draft: Path, target: Path) -> None:
    """Rename a written checkpoint to its name.

    The new checksum is listed first, beside that of the present file, and likewise for previous.ckpt, so that
    each file's checksum is listed at any moment.
    """
    folder, sums, new = target.parent, read_sums(target.parent), digest(draft)
    standing = _standing(target, sums.get(target.name, []))
    becomes_previous = target.name == LAST and target.exists()
    before = {PREVIOUS: [*standing, *sums.get(PREVIOUS, [])]} if becomes_previous else {}
    write_sums(folder, {**sums, **before, target.name: [new, *standing]})
    if becomes_previous:
        link = draft_of(target, "link")
        link.unlink(missing_ok=True)
        _link_or_move(target, link)
        link.replace(target.with_name(PREVIOUS))
    draft.replace(target)
    after = {PREVIOUS: standing} if becomes_previous else {}
    write_sums(folder, {**sums, **after, target.name: [new]})


def _standing(target: Path, listed: list[str]) -> list[str]:
    """Return the checksum of the present file; if a kill left several, the one that matches."""
    return listed if len(listed) < 2 or not target.exists() else [s for s in listed if s == digest(target)]


def _link_or_move(target: Path, link: Path) -> None:
    """Give a file a second name or, on a file system without hard links, rename it.

    In that case a run that is killed before the new last.ckpt is in place continues from previous.ckpt.
    """
    try:
        os.link(target, link)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        target.rename(link)


def newest(folder: Path) -> Path | None:
    """Return the latest whole checkpoint, or None if there are none; log damaged ones.

    Raises:
        DamagedCheckpointError: all checkpoints are damaged.
    """
    found = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for path in found:
        try:
            if remark := verify(path):
                log.warning(remark)
            return path
        except DamagedCheckpointError as error:
            log.warning(str(error))
            last = error
    if found:
        raise last
    return None


def verify(path: Path) -> str | None:
    """Check that a file is what was written.

    Returns:
        A remark if the list of checksums is damaged, and not the file.

    Raises:
        DamagedCheckpointError: the file does not match SHA256SUMS.
    """
    listed, found = read_sums(path.parent).get(path.name, []), digest(path)
    if found in listed:
        return None
    if listed and not any(is_misprint(one, found) for one in listed):
        raise _damaged(path)
    _check_by_itself(path)
    if not (path.parent / SUMS).exists():  # from a version without checksums
        return None
    return (
        f"{path.parent / SUMS} is damaged: it does not have the checksum of {path.name}, which is whole by "
        "the checksums inside it"
    )


def _check_by_itself(path: Path) -> None:
    read_checkpoint(path)
    if zipfile.is_zipfile(path):  # torch.save stores a checksum of each part
        with zipfile.ZipFile(path) as parts:
            if parts.testzip() is not None:
                raise _damaged(path)


def rows_counted(path: Path) -> tuple[int, dict[str, int]]:
    """Return a checkpoint's step and the rows of each table by then (see Recorder); old ones lack these."""
    checkpoint = read_checkpoint(path, mmap=True)
    recorder = checkpoint.get("callbacks", {}).get("Recorder", {})
    return int(checkpoint.get("global_step", 0)), dict(recorder.get("rows", {}))


def read_checkpoint(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint on the CPU; only tensors and plain values are accepted.

    Raises:
        DamagedCheckpointError: it cannot be read.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=mmap))
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, UnpicklingError) as error:
        raise _damaged(path) from error


def segmenter_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's tensors from a training checkpoint or a bare state dict."""
    if "state_dict" not in checkpoint:
        return dict(checkpoint)
    state = checkpoint["state_dict"].items()
    return {key.removeprefix(SEGMENTER): value for key, value in state if key.startswith(SEGMENTER)}


def _damaged(path: Path) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"checkpoint {path} is damaged: the one before it is taken where there is one; else remove it and "
        "the run starts from its beginning (force=true does that and keeps what is there)"
    )
