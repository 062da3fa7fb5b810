"""A cache of decoded splits: images and label maps as bytes in one file, read through the page cache.

Decoding is nine tenths of the cost of reading a large PNG (docs/performance.md). Cached samples are bitwise
those of `FileSplit`; crops read only their own pages, which all processes and runs on a machine share.

A cache is a folder `<split>-<place>-<key>/` with `samples.bin` (for each sample the image [H, W, 3], then the
label [H, W]) and `sizes.npy` (int64 [N, 2]: H, W). It is built under another name, synced and renamed, so
that a folder of this name is complete.
"""

import logging
import mmap
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.data.parallel import spread
from segsweep.data.sample import Sample, image_size
from segsweep.data.split import FileSplit, JoinedSplit, SplitDataset
from segsweep.errors import DataError, OptionError
from segsweep.files import cannot_write, fsync, locked

log = logging.getLogger(__name__)
WORTH_PROCESSES = 10.0  # seconds of work from which on starting processes pays
PLACES = "dataset.cache=…"
CHANNELS = 4  # bytes per pixel: three of the image and one of the label
FILES = ("samples.bin", "sizes.npy")
FORM = 1  # version of the files' format and of the meaning of their values


def default_folder() -> Path:
    """Return the user's cache folder, for small files if no folder is given."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsweep"


def source_key(files: Sequence[str] | NDArray[Any], *settings: object) -> str:
    """Return 16 hex digits that depend on the files' paths, sizes and times, and on the settings' `repr`.

    Raises DataError if a file is missing.
    """
    digest = blake2b(repr(settings).encode(), digest_size=8)
    for file in files:
        path = Path(str(file)).absolute()
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(
                file, str(error.strerror), "restore it or take it off its split's list"
            ) from error
        digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def alone(target: Path) -> AbstractContextManager[bool]:
    """Wait until no other process makes `target`, then hold it.

    Raises UserError if the folder cannot be written.
    """
    return locked(target.with_name(f"{target.name}.lock"), wait=True, places=PLACES)


def cached(split: SplitDataset, folder: Path | None, workers: int) -> SplitDataset:
    """Return the split as cached under `folder`, after building the cache with `workers` processes if needed.

    Without a folder, return the split itself.

    Raises:
        OptionError: the split does not consist of files, or the disk has too little space.
        DataError: a source file is missing or damaged.
        UserError: the folder cannot be written, or a process was killed.
    """
    if folder is None:
        return split
    if isinstance(split, JoinedSplit):
        return JoinedSplit(split.name, [cached(part, folder, workers) for part in split.parts])
    if not isinstance(split, FileSplit):
        problem = f"split {split.name!r} is not read from files"
        raise OptionError("dataset.cache", folder, problem=problem, remedy="leave it null")
    files = np.concatenate([split.images, split.labels]) if split.has_truth else split.images
    place = f"{split.name}-{source_key([], Path(split.source).absolute())[:8]}"
    target = folder / f"{place}-{source_key(files, split.label_format, split.ids.tolist(), FORM)}"
    if not target.is_dir():
        with alone(folder / place):
            if not target.is_dir():
                _build(split, target, place, workers)
    return CachedSplit(split, target)


class CachedSplit(SplitDataset):
    """A split read from its cache; its arrays are read-only views of a file."""

    def __init__(self, split: SplitDataset, folder: Path) -> None:
        super().__init__(split.name, split.ids.tolist(), folder)
        self.has_truth, self.folder = split.has_truth, folder
        self.sizes: NDArray[np.int64] = np.load(folder / "sizes.npy")
        self.starts = _starts(self.sizes)
        self._pixels: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A spawned process maps the file itself; pickling would copy all of it.
        return {**self.__dict__, "_pixels": None}

    def __getitem__(self, index: int) -> Sample:
        if self._pixels is None:
            with (self.folder / "samples.bin").open("rb") as file:
                self._pixels = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        (height, width), start = self.sizes[index].tolist(), int(self.starts[index])
        middle, end = start + 3 * height * width, start + CHANNELS * height * width
        image = self._pixels[start:middle].reshape(height, width, 3)
        return Sample(image, self._pixels[middle:end].reshape(height, width), str(self.ids[index]))


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:  # offsets of the samples' bytes [N]
    lengths = sizes.prod(axis=1) * CHANNELS
    return np.asarray(np.cumsum(lengths) - lengths, dtype=np.int64)


def _build(split: FileSplit, target: Path, place: str, workers: int) -> None:
    """Write a cache under another name, and rename it when it is on disk."""
    for leftover in target.parent.glob(f"{place}-*.half"):
        log.info("%s: left by a build that was cut short, removed", leftover)
        _remove(leftover)
    older = [each for each in target.parent.glob(f"{place}-*") if each.is_dir()]
    sizes = np.array([image_size(str(file)) for file in split.images], dtype=np.int64)
    half = target.with_name(f"{target.name}.half")
    _announce(split, sizes, target, older, workers)
    try:
        half.mkdir()
        np.save(half / "sizes.npy", sizes)
        with (half / "samples.bin").open("wb") as file:
            file.truncate(int(sizes.prod(axis=1).sum()) * CHANNELS)
        chunks = np.array_split(np.arange(len(split)), min(len(split), max(1, workers) * 16))
        # Each process gets only the names of its samples: all are tens of megabytes in large datasets.
        parts = [(split.part(chunk), _starts(sizes)[chunk]) for chunk in chunks]
        write = partial(_write, half / "samples.bin")
        for _ in spread(write, parts, workers, "num_workers", WORTH_PROCESSES):
            pass
        for each in (half / "sizes.npy", half / "samples.bin", half):
            fsync(each)
        half.rename(target)
    except OSError as error:
        raise cannot_write(target, error, PLACES) from error
    finally:
        _remove(half)
    for each in older:
        _remove(each)


def _remove(folder: Path) -> None:
    """Remove a cache, but no other files in its folder."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _announce(
    split: FileSplit, sizes: NDArray[np.int64], target: Path, older: list[Path], workers: int
) -> None:
    """Log what will be built, with size and time; raise OptionError if there is too little space."""
    needed, free = int(sizes.prod(axis=1).sum()) * CHANNELS, shutil.disk_usage(target.parent).free
    if needed > free:
        room = f"{needed / 1e9:.1f} GB under {target.parent}, {free / 1e9:.1f} GB are free"
        problem = f"{split.name} needs {room}"
        raise OptionError("dataset.cache", problem=problem, remedy="give another folder, or null for none")
    start = time.perf_counter()
    tried = min(3, len(split))
    for index in range(tried):
        split[index]
    seconds = (time.perf_counter() - start) / tried * len(split) / max(1, workers)
    why = "sources changed since it was kept; " if older else ""
    log.info(
        "%s: %sdecoding %d samples once into %s: %.1f GB, about %.0f s",
        split.source, why, len(split), target, needed / 1e9, seconds,
    )  # fmt: skip


def _write(file: Path, part: tuple[FileSplit, NDArray[np.int64]]) -> None:
    split, starts = part
    with file.open("r+b") as out:
        for index, start in enumerate(starts.tolist()):
            image, label, _ = split[index]
            if label.shape != image_size(str(split.images[index])):
                raise DataError(split.images[index], "its header gives another size than its pixels")
            out.seek(start)
            out.write(image.data)
            out.write(np.ascontiguousarray(label).data)
