"""Write files atomically: a file is either whole or absent."""

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from segsweep.errors import UserError

RUN_PLACES = "runs_dir=… or out=…"
SIDE_BY_SIDE = 16  # groups of files that are synced at once

PROCESS = uuid.uuid4().hex[:8]
"""Distinguishes this process from those with the same pid in other containers and machines."""

DRAFT = re.compile(r"\.\d+-[0-9a-f]{8}\.tmp(\.\w+)?$")
"""How the name of a draft ends, see `draft_of`."""

File = tuple[Path, bytes]


def write_bytes(path: Path, content: bytes, places: str = RUN_PLACES) -> None:
    """Write beside the target, sync, rename.

    `places` are the options that choose the folder, for the error message. A killed process may leave
    `<name>.<pid>-<token>.tmp` behind.

    Raises:
        UserError: the folder cannot be written or the disk is full; an older file is unchanged.
    """
    _draft(path, content, places)
    _publish(path, places)


def write_groups(groups: Sequence[Sequence[File]]) -> None:
    """Write files as `write_bytes` does: those of a group in order, several groups in parallel.

    Syncing takes most of the time, and disks sync many files at once. If a group's last file exists, so do
    the others.

    Raises:
        UserError: a file cannot be written; other groups may have been.
    """
    for first in range(0, len(groups), SIDE_BY_SIDE):
        some = groups[first : first + SIDE_BY_SIDE]
        try:
            for path, content in (file for group in some for file in group):
                _draft(path, content, RUN_PLACES)  # one after the other: their times keep this order
            with ThreadPoolExecutor(len(some)) as pool:
                list(pool.map(_publish_in_order, some))
        except UserError:
            for path, _ in (file for group in some for file in group):
                with suppress(OSError):
                    draft_of(path).unlink(missing_ok=True)
            raise


def _publish_in_order(group: Sequence[File]) -> None:
    for path, _ in group:
        _publish(path, RUN_PLACES)


def _draft(path: Path, content: bytes, places: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft_of(path).write_bytes(content)
    except OSError as error:
        raise _given_up(path, error, places) from error


def _publish(path: Path, places: str) -> None:
    try:
        fsync(draft_of(path))
        draft_of(path).replace(path)
    except OSError as error:
        raise _given_up(path, error, places) from error


def draft_of(path: Path, suffix: str = "tmp") -> Path:
    """Return the name beside a file's own under which this process, and no other, writes it."""
    return path.with_name(f"{path.name}.{os.getpid()}-{PROCESS}.{suffix}")


def _given_up(path: Path, error: OSError, places: str) -> UserError:
    with suppress(OSError):  # the disk may be full
        draft_of(path).unlink(missing_ok=True)
    return cannot_write(path, error, places)


@contextmanager
def drafted(path: Path, places: str = RUN_PLACES, suffix: str = "tmp") -> Iterator[Path]:
    """Yield where to write a file piece by piece; afterwards it is synced and gets its name.

    After an exception nothing is left of it. `suffix` ends the draft's name, for writers that go by it.

    Raises:
        UserError: the folder cannot be written or the disk is full; an older file is unchanged.
    """
    draft = draft_of(path, suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        fsync(draft)
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):  # the disk may be full
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error, places) from error
        raise


def drafts(folder: Path) -> Iterator[Path]:
    """Yield the drafts below a folder that killed processes left; call it where no process writes."""
    return (path for path in folder.rglob("*") if DRAFT.search(path.name))


@contextmanager
def locked(path: Path, wait: bool, places: str) -> Iterator[bool]:
    """Hold a lock file against all processes on machines that share the file; it ends with its process.

    Yields whether it is held: without `wait`, another process may have it. It is never taken from a living
    process, unlike a lease (runs/lease.py).

    Raises:
        UserError: the folder cannot be written, or its file system has no locks.
    """
    from filelock import FileLock, Timeout  # 50 ms, and few commands lock

    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    except NotImplementedError as error:
        problem = "this file system has no file locks; give a folder on another one as"
        raise UserError(f"{path}: {problem} {places}") from error
    except OSError as error:
        raise cannot_write(path.parent, error, places) from error
    try:
        yield True
    finally:
        lock.release()


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path, ignore_errors: bool = False) -> None:
    """Remove a file, a folder (with `ignore_errors`, as far as possible), or a link but not its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors)
    else:
        path.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Wait until a file, or a folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError, places: str = RUN_PLACES) -> UserError:
    """Return an error about a path that cannot be written, in the user's terms."""
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"{path}: this name is too long for the file system; give a shorter one")
    remedy = f"give a folder you can write, with free space, as {places}"
    return UserError(f"{path} cannot be written ({error.strerror}): {remedy}")
