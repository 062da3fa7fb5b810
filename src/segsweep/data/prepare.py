"""Files that a dataset needs besides its release, made once: planned first, then executed.

Knows no dataset and no configuration. A dataset returns `Preparation`s; each is a set of independent tasks,
functions that turn their arguments into one file's bytes, run in a pool of processes. A file is whole or
absent, and an existing one is not made again: after a crash, a full disk or an interrupt the same call
continues, with the same result. Files of other origin are neither removed nor overwritten.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsweep.data.parallel import spread
from segsweep.errors import UserError
from segsweep.files import locked, write_bytes

PLACES = "dataset.prepared=…"
Progress = Callable[[int, int], None]
"""(files done, files in all), over all preparations, including files made earlier."""


@dataclass(frozen=True)
class Task:
    """One file to make."""

    output: Path
    make: Callable[..., bytes]  # a function in a module that processes can import quickly
    arguments: tuple[Any, ...]

    def __call__(self) -> None:
        """Make the file atomically."""
        write_bytes(self.output, self.make(*self.arguments), PLACES)


@dataclass(frozen=True)
class Preparation:
    """Files of one kind: one per task in `<folder>/<below>/`, then `<folder>/<name>.txt`, which lists them.

    The list is written last, so that it means completeness. `<folder>/<name>.source` records the source, and
    `<folder>/<name>.files` which files in `below` are ours; files from another source are removed before new
    ones are made.
    """

    folder: Path
    name: str
    below: str  # empty if only the list is made
    makes: str  # what is made, from what and where, in one line
    source: str  # what the files are made from; equal sources give equal files
    listing: str
    tasks: Sequence[Task]  # tasks that are left to do
    done: int  # number of files that exist already
    file_bytes: float = 0  # typical size of one file
    file_seconds: float = 0  # typical seconds that one process takes per file

    @property
    def files(self) -> int:
        """The number of files in the end, without the list."""
        return self.done + len(self.tasks)

    @property
    def bytes(self) -> int:
        """The disk space still needed, estimated."""
        return round(len(self.tasks) * self.file_bytes)

    def seconds(self, workers: int) -> float:
        """Return the time still needed, estimated."""
        return len(self.tasks) * self.file_seconds / max(1, workers)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.tasks and prepared_from(self.folder, self.name) == self.source


def prepared_from(folder: Path, name: str) -> str | None:
    """Return the source of a finished preparation; None if it is not finished."""
    try:
        (folder / f"{name}.txt").stat()
        return (folder / f"{name}.source").read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None


def plan(
    folder: Path,
    name: str,
    below: str,
    makes: str,
    source: str,
    ids: Sequence[str],
    tasks: Sequence[Task],
    file_bytes: float = 0,
    file_seconds: float = 0,
) -> Preparation:
    """Return a preparation of those tasks whose files do not exist or come from another source.

    `ids` are the lines of the list; for the other arguments see `Preparation`.
    """
    try:
        same = (folder / f"{name}.source").read_text() == source
    except (FileNotFoundError, NotADirectoryError):
        same = False
    left = [task for task in tasks if not (same and task.output.is_file())]
    listing, done = "".join(f"{i}\n" for i in ids), len(tasks) - len(left)
    return Preparation(folder, name, below, makes, source, listing, left, done, file_bytes, file_seconds)


def run(preparations: Sequence[Preparation], workers: int, on_progress: Progress) -> None:
    """Make the missing files with `workers` processes, or in this one if 0.

    Raises:
        UserError: a folder cannot be written, the disk is full, another process prepares the same folder, a
            source file is wrong, or files of other origin are in the way. Finished files stay.
    """
    total = sum(each.files for each in preparations)
    done = sum(each.done for each in preparations)
    on_progress(done, total)
    for each in preparations:
        if each.complete:
            continue
        with _alone(each.folder):
            _begin(each)
            for _ in spread(Task.__call__, each.tasks, workers):
                done += 1
                on_progress(done, total)
            _end(each)


def _begin(preparation: Preparation) -> None:
    folder, name = preparation.folder, preparation.name
    source, listing, files = (folder / f"{name}.{kind}" for kind in ("source", "txt", "files"))
    if source.is_file() and source.read_text() == preparation.source:
        return
    below, ours = folder / preparation.below, _made_by_us(preparation)
    outputs = [task.output for task in preparation.tasks if task.output.name not in ours]
    outputs += [] if source.is_file() else [listing]
    theirs = [path for path in outputs if path.exists() or path.is_symlink()]
    if theirs:
        raise UserError(
            f"{theirs[0]}: stands where segsweep would make a file, and is none that it made (there are "
            f"{len(theirs)} such files); move them elsewhere, or give another folder as {PLACES}"
        )
    # In this order, so that a list or source never describes files of another source.
    for path in (listing, source, *(below / file for file in sorted(ours)), files):
        path.unlink(missing_ok=True)
    if preparation.tasks:
        write_bytes(files, "".join(f"{task.output.name}\n" for task in preparation.tasks).encode(), PLACES)
    write_bytes(source, preparation.source.encode(), PLACES)


def _made_by_us(preparation: Preparation) -> set[str]:
    """Return the names of files in `below` from an earlier preparation, finished or not."""
    folder, name = preparation.folder, preparation.name
    names = [task.output.name for task in preparation.tasks]
    if (folder / f"{name}.files").is_file():
        return set((folder / f"{name}.files").read_text().splitlines())
    if not names or not (folder / f"{name}.source").is_file():
        return set()
    # Older versions wrote no such file: use the list or, if that preparation is unfinished, the new names.
    listing, suffix = folder / f"{name}.txt", Path(names[0]).suffix
    return {f"{i}{suffix}" for i in listing.read_text().splitlines()} if listing.is_file() else set(names)


def _end(preparation: Preparation) -> None:
    """Remove what killed processes left half written, then write the list, which means completeness."""
    folder, name = preparation.folder, preparation.name
    own = {f"{name}.txt", f"{name}.source", f"{name}.files", *_made_by_us(preparation)}
    for place in (folder, folder / preparation.below):
        for half in place.glob("*.*.tmp"):
            if half.name.rsplit(".", 2)[0] in own:
                half.unlink(missing_ok=True)
    write_bytes(folder / f"{name}.txt", preparation.listing.encode(), PLACES)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with locked(folder / ".lock", wait=False, places=PLACES) as held:
        if not held:
            raise UserError(f"{folder}: another process is preparing it; wait until it is done")
        yield
