"""Checkpoint files that are whole or not there, and known to be whole by their checksums.

Lightning's own save writes into the temporary folder and moves the file from there, which on another file
system is a copy that a kill can cut in half. Here a checkpoint is written beside its place, synced to disk
and renamed; the one that it replaces is kept as previous.ckpt; SHA256SUMS tells a file that was damaged
later (`sha256sum -c SHA256SUMS` reads it).
"""

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from segsweep.errors import UserError
from segsweep.files import draft_of, write_bytes

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
SUMS = "SHA256SUMS"
SEGMENTER = "segmenter."
"""What the names of the segmenter's tensors begin with, among those of the whole task."""

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems answer that have none, such as exFAT and mounted object stores."""

log = logging.getLogger("segsweep")


class DamagedCheckpointError(UserError):
    """A checkpoint that is not what was written."""


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
            ) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint, see `read_checkpoint`."""
        return read_checkpoint(Path(path))


def _put_in_place(draft: Path, target: Path) -> None:
    """Rename a written checkpoint to its name.

    The checksum comes first, beside that of the file still standing there: at every moment each file's sum
    is among those listed.
    """
    sums, new = _sums(target.parent), _digest(draft)
    _write_sums(target.parent, {**sums, target.name: [new, *sums.get(target.name, [])[:1]]})
    if target.name == LAST and target.exists():
        link = draft_of(target, "link")
        link.unlink(missing_ok=True)
        _link_or_move(target, link)
        sums[PREVIOUS] = sums.get(LAST, [])[:1]
        _write_sums(target.parent, {**sums, LAST: [new, *sums.get(LAST, [])[:1]]})
        link.replace(target.with_name(PREVIOUS))
    draft.replace(target)
    _write_sums(target.parent, {**sums, target.name: [new]})


def _link_or_move(target: Path, link: Path) -> None:
    """Have a file under another name too, or where there are no hard links under that name alone.

    Then there is no last.ckpt until the new one is renamed, and a run that is killed meanwhile goes on from
    previous.ckpt.
    """
    try:
        os.link(target, link)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        target.rename(link)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left half-written; for the run's holder alone."""
    for draft in [*folder.glob("*.tmp"), *folder.glob("*.link")]:
        draft.unlink(missing_ok=True)


def newest(folder: Path) -> Path | None:
    """The latest checkpoint to go on from; a damaged one is reported and the one before it taken.

    Raises:
        DamagedCheckpointError: there are checkpoints, and none is whole.
    """
    found = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for path in found:
        try:
            verify(path)
            return path
        except DamagedCheckpointError as error:
            log.warning(str(error))
            last = error
    if found:
        raise last
    return None


def verify(path: Path) -> None:
    """Raise DamagedCheckpointError where a file is not what SHA256SUMS says was written."""
    listed = _sums(path.parent).get(path.name)
    if listed and _digest(path) not in listed:
        raise _damaged(path)
    if not listed:
        read_checkpoint(path)  # written before there were sums


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU; nothing but tensors and plain values is accepted.

    Raises:
        DamagedCheckpointError: it cannot be read.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, UnpicklingError) as error:
        raise _damaged(path) from error


def segmenter_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The segmenter's tensors of a training checkpoint, or of a bare state dict."""
    if "state_dict" not in checkpoint:
        return dict(checkpoint)
    state = checkpoint["state_dict"].items()
    return {key.removeprefix(SEGMENTER): value for key, value in state if key.startswith(SEGMENTER)}


def _damaged(path: Path) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"checkpoint {path} is damaged: the one before it is taken where there is one; else remove it and "
        "the run starts from its beginning (force=true does that and keeps what is there)"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sums(folder: Path) -> dict[str, list[str]]:
    """Listed sums by file name, the newest first."""
    sums: dict[str, list[str]] = {}
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return sums
    for line in lines:
        digest, _, name = line.partition("  ")
        sums.setdefault(name, []).append(digest)
    return sums


def _write_sums(folder: Path, sums: dict[str, list[str]]) -> None:
    lines = [f"{digest}  {name}\n" for name, digests in sorted(sums.items()) for digest in digests]
    write_bytes(folder / SUMS, "".join(lines).encode())
