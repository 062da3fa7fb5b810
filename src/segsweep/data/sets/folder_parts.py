"""What a folder of images and masks has, by split and id.

An id is an image's path below its folder of images, without suffix, `/` written as `__`.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from os.path import commonpath
from pathlib import Path, PurePosixPath

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
LAYOUT = (
    "images/ and masks/ with files of the same names, either with or in folders train, val and test; lists "
    "train.txt, val.txt and test.txt beside them if wanted; or pairs.csv with the columns image and mask"
)
JOINT = "__"
WHOLE = ""
"""The name of what is not split."""


@dataclass(frozen=True)
class Part:
    """The files of one split, or of a folder that is not split, by id."""

    images: Mapping[str, Path]
    masks: Mapping[str, Path] | None  # None without truth
    source: Path  # the list, or the folder that serves as one

    def part(self, ids: Set[str]) -> "Part":
        """Return the files with these ids."""
        images, masks = (
            {i: path for i, path in files.items() if i in ids} for files in (self.images, self.masks or {})
        )
        return Part(images, masks, self.source)


@dataclass(frozen=True)
class Layout:
    """What a folder has."""

    parts: Mapping[str, Part]  # by split, or a single one, `WHOLE`
    told: str  # how the files are laid out, in words
    groups: Mapping[str, str] = field(default_factory=dict)  # of images by id, as a CSV gives them


def id_of(path: str) -> str:
    """Return the id of an image by its path below a folder."""
    return JOINT.join(PurePosixPath(path).with_suffix("").parts)


def shortened(parts: Mapping[str, Part], told: str, groups: Mapping[str, str] | None = None) -> Layout:
    """Return a layout whose ids lack the folders that are common to all images."""
    folders = ["/".join(i.split(JOINT)[:-1]) for part in parts.values() for i in part.images]
    common = commonpath(folders) if folders else ""
    start = len(id_of(common) + JOINT) if common else 0
    shorter = {
        name: Part(
            {i[start:]: path for i, path in part.images.items()},
            {i[start:]: path for i, path in (part.masks or {}).items()},
            part.source,
        )
        for name, part in parts.items()
    }
    return Layout(shorter, told, {i[start:]: group for i, group in (groups or {}).items()})


def told_apart(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return splits of folders with ids that no two share: numbers that begin anew get the split's name."""
    ids = [i for part in parts.values() for i in part.images]
    if len(set(ids)) == len(ids):
        return dict(parts)
    return {
        name: Part(
            {f"{name}{JOINT}{i}": path for i, path in part.images.items()},
            None if part.masks is None else {f"{name}{JOINT}{i}": path for i, path in part.masks.items()},
            part.source,
        )
        for name, part in parts.items()
    }
