"""Checkpoint files that are whole or absent, and known to be whole by their checksums.

Lightning's own save writes into the temporary folder and moves the file from there, which on another file
system is a copy that a kill can cut in half. Here a checkpoint is written beside its place, synced to disk
and renamed; the one that it replaces is kept as previous.ckpt; SHA256SUMS tells a file that was damaged
later (`sha256sum -c SHA256SUMS` reads it).
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

SEGMENTER = "segmenter."
"""Prefix of the names of the segmenter's tensors among those of the whole task."""

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links, such as exFAT and mounted object stores."""

log = logging.getLogger("segsweep")


class DamagedCheckpointError(UserError):
    """A checkpoint differs from what was written."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes whole files and loads with `weights_only=True`.

    Args:
        check: called when a checkpoint is written and before it gets its name; may raise.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.check = check

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, all or nothing; what last.ckpt was becomes previous.ckpt.

        Raises:
            UserError: the disk is full or cannot be written; what stood at `path` is untouched.
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
            # torch's writer, left without its file, raises an error of its own over the disk's.
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

    The new checksum comes first, beside that of the file still standing there, and so for previous.ckpt: at
    every moment each file's sum is among those listed.
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
    """Return the sum of the present file; if a kill between two writes left several, the one that fits."""
    return listed if len(listed) < 2 or not target.exists() else [s for s in listed if s == digest(target)]


def _link_or_move(target: Path, link: Path) -> None:
    """Give a file a second name or, if there are no hard links, only the new one.

    Then there is no last.ckpt until the new one is renamed, and a run that is killed meanwhile goes on from
    previous.ckpt.
    """
    try:
        os.link(target, link)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        target.rename(link)


def newest(folder: Path) -> Path | None:
    """Return the latest checkpoint to resume from; report a damaged one and take the one before it.

    Raises:
        DamagedCheckpointError: there are checkpoints, and none is whole.
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
        What is wrong with the list of checksums, if it is the list that is damaged, and not the file.

    Raises:
        DamagedCheckpointError: the file is not what SHA256SUMS says was written.
    """
    listed, found = read_sums(path.parent).get(path.name, []), digest(path)
    if found in listed:
        return None
    if listed and not any(is_misprint(one, found) for one in listed):
        raise _damaged(path)
    _check_by_itself(path)
    if not (path.parent / SUMS).exists():  # written before there were sums
        return None
    return (
        f"{path.parent / SUMS} is damaged: it does not have the checksum of {path.name}, which is whole by "
        "the checksums inside it"
    )


def _check_by_itself(path: Path) -> None:
    """Read a file and compare each part with the checksum that torch.save wrote beside it."""
    read_checkpoint(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if parts.testzip() is not None:
                raise _damaged(path)


def rows_counted(path: Path) -> tuple[int, dict[str, int]]:
    """Return a checkpoint's step and the rows each table had by then (see Recorder); old ones lack these."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, UnpicklingError) as error:
        raise _damaged(path) from error
    recorder = checkpoint.get("callbacks", {}).get("Recorder", {})
    return int(checkpoint.get("global_step", 0)), dict(recorder.get("rows", {}))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU; only tensors and plain values are accepted.

    Raises:
        DamagedCheckpointError: it cannot be read.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, UnpicklingError) as error:
        raise _damaged(path) from error


def segmenter_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's tensors of a training checkpoint, or of a bare state dict."""
    if "state_dict" not in checkpoint:
        return dict(checkpoint)
    state = checkpoint["state_dict"].items()
    return {key.removeprefix(SEGMENTER): value for key, value in state if key.startswith(SEGMENTER)}


def _damaged(path: Path) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"checkpoint {path} is damaged: the one before it is taken where there is one; else remove it and "
        "the run starts from its beginning (force=true does that and keeps what is there)"
    )
