"""What is to be predicted: the files that words of a command line name, each with a name for its outputs."""

import glob
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsweep.data.sets.folder_layout import SUFFIXES
from segsweep.errors import UserError

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}
"""Suffixes of what is read as a video."""


@dataclass(frozen=True)
class Input:
    """An image or a video.

    Attributes:
        path: of the file, as the user reaches it.
        name: of its outputs, below the folder of each kind and without a suffix.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it is read as a video, by its suffix."""
        return self.path.suffix.lower() in VIDEOS


def find_inputs(words: Sequence[str], out: Path) -> list[Input]:
    """Return the files that words name, each once, in order: images, videos, folders, patterns.

    A folder stands for the images and videos at any depth below it, without hidden ones and without what is
    in `out`. Names in a folder are taken from there on: `photos/a/1.jpg`, found in `photos`, is `a/1`.

    Raises:
        UserError: a word names nothing.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for word in words:
        before = len(found)
        for path, root in _named(word, out):
            found.setdefault(path.resolve(), (path, root))
        if len(found) == before and not any(True for _ in _named(word, out)):
            raise UserError(f"{word}: {_nothing(word, out)}")
    files = list(found.values())
    return [Input(path, name) for (path, _), name in zip(files, _names(files), strict=True)]


def _named(word: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file of a word, and the folder from which its name is taken."""
    # A pattern may be absolute, which Path.glob does not take.
    found = [word] if Path(word).exists() else sorted(glob.glob(word, recursive=True))  # noqa: PTH207
    paths = [Path(name) for name in found]
    for path in paths:
        if path.is_dir():
            yield from ((file, path) for file in _below(path, out.resolve()))
        elif path.is_file():
            yield path, path.parent


def _below(folder: Path, out: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES | VIDEOS or not path.is_file():
            continue
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and not path.resolve().is_relative_to(out):
            yield path


def _nothing(word: str, out: Path) -> str:
    if Path(word).is_dir():
        if Path(word).resolve().is_relative_to(out.resolve()):
            return f"this folder is in {out}, where predictions go; give out= a folder that holds no input"
        suffixes = " ".join(sorted(SUFFIXES | VIDEOS))
        return f"no image or video in this folder; expected files of {suffixes}"
    if glob.has_magic(word):
        return "no file matches this pattern; quote it if the shell has changed it"
    return "no such file or folder; expected an image, a video, a folder or a quoted pattern as 'day1/*.jpg'"


LEVELS: tuple[Callable[[Path, Path], Path], ...] = (
    lambda path, root: path.relative_to(root).with_suffix(""),
    lambda path, root: path.relative_to(root),
    lambda path, root: Path(root.resolve().name) / path.relative_to(root),
    lambda path, root: Path(*path.resolve().parts[1:]),
)
"""Names of a file found in a folder, from short to unique; one is used if that before it is not unique."""


def _names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    names = [""] * len(files)
    for level in LEVELS:
        taken = Counter(name.casefold() for name in names)  # some file systems know no case
        names = [
            name if name and taken[name.casefold()] == 1 else level(*file).as_posix()
            for name, file in zip(names, files, strict=True)
        ]
    return names
