"""Download official archives if the user asks for it: resumed, checked, and unpacked whole or not at all.

Knows no dataset and no configuration.
"""

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from filecmp import cmp
from http.client import HTTPException
from pathlib import Path

from segsweep.errors import DataError
from segsweep.files import cannot_write

PLACES = "dataset.root=…"
BLOCK = 1 << 20
SILENCE = 60  # seconds without data after which a connection is closed
Progress = Callable[[str, int, int], None]  # (archive's name, bytes done, bytes in all)


@dataclass(frozen=True)
class Archive:
    """An archive of an official release."""

    url: str
    size: int  # bytes; checked if there is no checksum
    md5: str | None
    inside: str  # the folder to take from the archive
    marker: str  # a file in that folder that only this archive has; empty to test for the folder itself

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.url.rsplit("/", 1)[-1]


def missing(archives: Sequence[tuple[Archive, Path]]) -> list[tuple[Archive, Path]]:
    """Return the archives whose contents are not completely in their target folders."""
    return [
        (archive, target)
        for archive, target in archives
        if not (target / archive.marker).exists() or _unpacking(archive, target).exists()
    ]


def download(archives: Sequence[tuple[Archive, Path]], on_progress: Progress) -> None:
    """Fetch missing archives and unpack each one's `inside` into its target folder.

    An archive is downloaded as `<name>.part` beside its target and removed after unpacking; a file `<name>`
    that the user put there is unpacked and kept.

    Raises:
        DataError: the server does not answer, or the file is not the official one.
        UserError: a folder cannot be written or the disk is full; partial downloads stay.
    """
    for archive, target in missing(archives):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = _fetch(archive, target.parent, on_progress)
            _unpack(archive, file, target)
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise DataError(
                archive.url,
                f"cannot be fetched ({reason})",
                "the same command goes on where it stopped, or fetch it by hand and put it at "
                f"{target.parent / archive.name}",
            ) from error
        except OSError as error:
            raise cannot_write(target, error, PLACES) from error


def _fetch(archive: Archive, folder: Path, on_progress: Progress) -> Path:
    """Return the complete, checked archive: the user's own file, or the download."""
    given, part = folder / archive.name, folder / f"{archive.name}.part"
    if given.is_file():
        _check(archive, given)
        return given
    if not part.is_file() or part.stat().st_size < archive.size:
        _receive(archive, part, on_progress)
    try:
        _check(archive, part)
    except DataError:
        part.unlink()
        raise
    return part


def _receive(archive: Archive, part: Path, on_progress: Progress) -> None:
    """Download the missing part, or everything if the server does not support ranges."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=SILENCE) as response:
        have = have if response.status == 206 else 0
        with part.open("ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                on_progress(archive.name, have, archive.size)
            file.flush()
            os.fsync(file.fileno())
    if have < archive.size:
        raise ConnectionError(f"the connection ended after {have:,} of {archive.size:,} bytes")


def _check(archive: Archive, file: Path) -> None:
    found, expected = str(file.stat().st_size), str(archive.size)
    if archive.md5:
        with file.open("rb") as content:
            found, expected = hashlib.file_digest(content, "md5").hexdigest(), archive.md5
    if found != expected:
        raise DataError(
            file,
            f"{'MD5' if archive.md5 else 'size'} {found} is not the official archive's {expected}",
            "remove it if it is still there, then the same command again",
        )


def _unpacking(archive: Archive, target: Path) -> Path:
    return target.parent / f".{archive.name}.unpacking"


def _unpack(archive: Archive, file: Path, target: Path) -> None:
    """Unpack into a folder that marks unfinished work, move that to the target, remove the download."""
    aside = _unpacking(archive, target)
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir()
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed:
                packed.extractall(aside)
        else:
            with tarfile.open(file) as unpacked:
                unpacked.extractall(aside, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(file, f"cannot be unpacked ({error})", "remove it and fetch it again") from error
    _refuse_others(aside / archive.inside, target)
    _merge(aside / archive.inside, target)
    shutil.rmtree(aside)
    if file.suffix == ".part":
        file.unlink()


def _refuse_others(source: Path, target: Path) -> None:
    """Raise DataError if files at the target differ from the archive's: they may be the user's work."""
    inside = [path for path in sorted(source.rglob("*")) if path.is_file()]
    places = [(path, target / path.relative_to(source)) for path in inside]
    there = [(path, to) for path, to in places if to.exists()]
    others = [to for path, to in there if not (to.is_file() and cmp(path, to, shallow=False))]
    if others:
        raise DataError(
            others[0],
            f"is another file than the archive's, as {len(others)} of {len(places)} are",
            "move them elsewhere, then the same command again",
        )


def _merge(source: Path, target: Path) -> None:
    """Move a folder into place: as a whole if nothing is there, else file by file."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        return
    for entry in source.iterdir():
        if entry.is_dir():
            _merge(entry, target / entry.name)
        else:
            entry.replace(target / entry.name)
