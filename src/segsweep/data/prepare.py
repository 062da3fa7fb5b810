"""Files that a dataset needs and its release does not have, made once: what is to do, said first, then done.

Knows no dataset and no configuration. A dataset gives `Preparation`s; each is a set of independent tasks,
small functions that turn their arguments into one file's bytes. They run in a pool of processes. A file is
there whole or not at all, and one that is there is not made again: after a crash, a full disk or an interrupt
the same call goes on where it stopped, and ends in the same bytes. Files that others made are neither removed
nor overwritten.
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
"""(files done, files in all), over all preparations, those there before included."""


@dataclass(frozen=True)
class Task:
    """One file to make."""

    output: Path
    make: Callable[..., bytes]
    """A function that worker processes can import; those of a large pool should import quickly."""
    arguments: tuple[Any, ...]

    def __call__(self) -> None:
        """Make the file, whole."""
        write_bytes(self.output, self.make(*self.arguments), PLACES)


@dataclass(frozen=True)
class Preparation:
    """Files of one kind: one a task in `<folder>/<below>/`, then `<folder>/<name>.txt`, which lists them.

    The list is written last: where it is, all is there. `<folder>/<name>.source` tells from what, and
    `<folder>/<name>.files` which files of `below` are made by us; those of another source are removed before
    new ones are made.
    """

    folder: Path
    name: str
    below: str
    """Empty if nothing but the list is made."""
    makes: str
    """What is made, from what and where, in a line."""
    source: str
    """What the files follow from; equal sources give equal files."""
    listing: str
    tasks: Sequence[Task]
    """Those still to do."""
    done: int
    """How many files are there already."""
    file_bytes: float = 0
    """Size of one file, as experience tells."""
    file_seconds: float = 0
    """Time that one file takes one process, as experience tells."""

    @property
    def files(self) -> int:
        """How many files there will be, the list aside."""
        return self.done + len(self.tasks)

    @property
    def bytes(self) -> int:
        """Disk space that is still needed, about."""
        return round(len(self.tasks) * self.file_bytes)

    def seconds(self, workers: int) -> float:
        """Time that is still needed, about."""
        return len(self.tasks) * self.file_seconds / max(1, workers)

    @property
    def complete(self) -> bool:
        """Whether there is nothing to do."""
        return not self.tasks and prepared_from(self.folder, self.name) == self.source


def prepared_from(folder: Path, name: str) -> str | None:
    """The source that a finished preparation was made from; None if it is not finished."""
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
    """A preparation of all these tasks, of which those are left whose files are not there from `source`.

    `ids` are the lines of the list; the rest is as in `Preparation`.
    """
    try:
        same = (folder / f"{name}.source").read_text() == source
    except (FileNotFoundError, NotADirectoryError):
        same = False
    left = [task for task in tasks if not (same and task.output.is_file())]
    listing, done = "".join(f"{i}\n" for i in ids), len(tasks) - len(left)
    return Preparation(folder, name, below, makes, source, listing, left, done, file_bytes, file_seconds)


def run(preparations: Sequence[Preparation], workers: int, on_progress: Progress) -> None:
    """Make what is missing with `workers` processes, or in this one if there are none.

    Raises:
        UserError: a folder cannot be written, the disk is full, another process prepares the same folder, or
            a source file is not as promised, or files of others stand where new ones would. Whole files stay.
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
    """Clear away what we made from another source."""
    folder, name = preparation.folder, preparation.name
    source, listing, files = (folder / f"{name}.{kind}" for kind in ("source", "txt", "files"))
    if source.is_file() and source.read_text() == preparation.source:
        return
    below, ours = folder / preparation.below, _made_by_us(preparation)
    theirs = [
        task.output for task in preparation.tasks if task.output.name not in ours and _is_there(task.output)
    ]
    theirs += [listing] if _is_there(listing) and not source.is_file() else []
    if theirs:
        raise UserError(
            f"{theirs[0]}: stands where segsweep would make a file, and is none that it made (there are "
            f"{len(theirs)} such files); move them elsewhere, or give another folder as {PLACES}"
        )
    # In this order: at no time does a list or a source stand for files that are not its own.
    for path in (listing, source, *(below / file for file in sorted(ours)), files):
        path.unlink(missing_ok=True)
    if preparation.tasks:
        write_bytes(files, "".join(f"{task.output.name}\n" for task in preparation.tasks).encode(), PLACES)
    write_bytes(source, preparation.source.encode(), PLACES)


def _made_by_us(preparation: Preparation) -> set[str]:
    """Names of the files in `below` that are of an earlier preparation, whole or cut short."""
    folder, name = preparation.folder, preparation.name
    names = [task.output.name for task in preparation.tasks]
    if (folder / f"{name}.files").is_file():
        return set((folder / f"{name}.files").read_text().splitlines())
    if not names or not (folder / f"{name}.source").is_file():
        return set()
    # Older versions wrote no such file: the list tells, or, of one that was cut short, what is to be made.
    listing, suffix = folder / f"{name}.txt", Path(names[0]).suffix
    return {f"{i}{suffix}" for i in listing.read_text().splitlines()} if listing.is_file() else set(names)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _end(preparation: Preparation) -> None:
    """Clear away what killed processes left half written, then say that all is there."""
    folder, name = preparation.folder, preparation.name
    own = {f"{name}.txt", f"{name}.source", f"{name}.files", *_made_by_us(preparation)}
    for place in (folder, folder / preparation.below):
        for half in place.glob("*.*.tmp"):
            if half.name.rsplit(".", 2)[0] in own:
                half.unlink(missing_ok=True)
    write_bytes(folder / f"{name}.txt", preparation.listing.encode(), PLACES)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against other preparations."""
    with locked(folder / ".lock", wait=False, places=PLACES) as held:
        if not held:
            raise UserError(f"{folder}: another process is preparing it; wait until it is done")
        yield
