"""Where a folder has its images and masks, and which belong together.

An id is an image's path below its folder of images, without suffix, `/` written as `__`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from segsweep.data.listing import paths_of, read_list, read_text, visible
from segsweep.data.sets.folder_classes import read_csv
from segsweep.data.split import fault, some
from segsweep.errors import DataError

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
IMAGES = ("images", "image", "imgs", "img", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annotation", "segmentationclass", "gt")
PAIRS = "pairs.csv"
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".avif",
}  # fmt: skip
ENDING = re.compile(r"[-_. ](masks?|labels?|gt|seg|segmentation|annotations?|l)$")
"""What a mask's name may have besides its image's."""
LAYOUT = (
    "images/ and masks/ with files of the same names, either with or in folders train, val and test; lists "
    "train.txt, val.txt and test.txt beside them if wanted; or pairs.csv with the columns image and mask"
)
WHOLE = ""
"""The name of what is not split."""


@dataclass(frozen=True)
class Part:
    """The files of one split, or of a folder that is not split, by id."""

    images: Mapping[str, Path]
    masks: Mapping[str, Path] | None  # None without truth
    source: Path  # the list, or the folder that serves as one


@dataclass(frozen=True)
class Layout:
    """What a folder has."""

    parts: Mapping[str, Part]  # by split, or a single one, `WHOLE`
    told: str  # how the files are laid out, in words
    groups: Mapping[str, str] = field(default_factory=dict)  # of images by id, as a CSV gives them


def find_layout(root: Path, pairs: Path | None) -> Layout:
    """Return the files of a folder.

    Raises:
        DataError: they are laid out in no known way, or a list is wrong.
    """
    table = pairs or root / PAIRS
    if pairs is not None or table.is_file():
        return _of_csv(table, root)
    if not root.is_dir():
        raise DataError(root, "no such folder (dataset.root)", f"expected {LAYOUT}")
    images, masks = _within(root, IMAGES), _within(root, MASKS)
    lists = {name: file for name in SPLITS if (file := _list(root, name)) is not None}
    if lists:
        whole = _pair(images, masks) if images and masks else Part({}, {}, root)
        parts = {name: _listed(file, root, whole) for name, file in lists.items()}
        return Layout(parts, f"lists {', '.join(file.name for file in lists.values())}")
    if images is None and (split := _splits(root)):
        folders = {name: (_within(folder, IMAGES), _within(folder, MASKS)) for name, folder in split.items()}
    elif images is not None and masks is not None and (split := _splits(images)):
        below = _splits(masks)
        folders = {name: (folder, below.get(name)) for name, folder in split.items()}
    elif images is not None and masks is not None:
        return Layout({WHOLE: _pair(images, masks)}, f"{images.name}/ and {masks.name}/")
    else:
        held = some(sorted(path.name for path in root.iterdir() if not path.name.startswith(".")))
        raise DataError(root, f"holds {held or 'nothing'}, no known layout", f"expected {LAYOUT}")
    parts = {name: _split(split[name], *pair, name) for name, pair in folders.items()}
    return Layout(_told_apart(parts), f"folders {', '.join(folder.name for folder in split.values())}")


def _within(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the folder's first subfolder of these names, in any case."""
    there = {path.name.casefold(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return next((there[name] for name in names if name in there), None)


def _splits(folder: Path) -> dict[str, Path]:
    found = {name: _within(folder, names) for name, names in SPLITS.items()}
    return {name: path for name, path in found.items() if path is not None}


def _list(root: Path, split: str) -> Path | None:
    files = (root / f"{name}.txt" for name in SPLITS[split])
    return next((file for file in files if file.is_file()), None)


def _split(folder: Path, images: Path | None, masks: Path | None, name: str) -> Part:
    """Return the files of a split; only test may lack masks, as those of a benchmark do."""
    if images is None or (masks is None and name != "test"):
        kind = "images/" if images is None else "masks/"
        raise DataError(folder, f"has no folder {kind} for split {name!r}", f"expected {LAYOUT}")
    if masks is None:
        return Part(dict(_files(images)), None, images)
    return _pair(images, masks)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the image files below a folder, by id."""
    for path in visible(folder, "**/*"):
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            below = "__".join(path.relative_to(folder).with_suffix("").parts)
            yield below, path


def _pair(images: Path, masks: Path) -> Part:
    """Return images with the masks of the same name; a mask without image keeps its own name."""
    found: dict[str, Path] = {}
    for i, path in _files(images):
        if i in found:
            fault(
                DataError(
                    path, f"has the name of {found[i]}", "remove one of them, or rename it and its mask"
                )
            )
        found.setdefault(i, path)
    if not found:
        raise DataError(images, "holds no image", f"expected files of {', '.join(sorted(SUFFIXES))}")
    return Part(found, _matched(found, list(_files(masks))), images)


def _matched(images: Mapping[str, Path], masks: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Return masks by the id of their image: of the same name, of another case, or with an ending."""
    left = dict(masks)
    matched = {i: left.pop(i) for i in images if i in left}
    for rule in (str.casefold, lambda name: ENDING.sub("", name.casefold())):
        named: dict[str, list[str]] = {}
        for name in left:
            named.setdefault(rule(name), []).append(name)
        for i in images.keys() - matched.keys():
            names = named.get(i.casefold(), [])
            if len(names) == 1 and names[0] in left:
                matched[i] = left.pop(names[0])
    return matched | left


def _listed(file: Path, root: Path, whole: Part) -> Part:
    """Return the files that a list names: by id, by the image's path, or by both paths."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for line in read_list(file, LAYOUT):
        paths = paths_of(line)
        if len(paths) > 2:
            raise DataError(file, f"a line of {len(paths)} paths", "expected an id, or an image and its mask")
        if len(paths) == 2:
            image, mask = (root / path.lstrip("/") for path in paths)
            i = image.stem
        else:
            i = _known(line if not paths else paths[0], whole.images)
            image = whole.images.get(i, whole.source / i)
            mask = (whole.masks or {}).get(i, image)
            if i not in whole.images or i not in (whole.masks or {}):
                what = "image" if i not in whole.images else "mask"
                fault(DataError(file, f"lists {line}, which has no {what}", f"restore it below {root}"))
                continue
        if i in images:
            fault(DataError(file, f"lists {line} twice", "list each image once"))
        images[i], masks[i] = image, mask
    return Part(images, masks, file)


def _known(name: str, images: Mapping[str, Path]) -> str:
    """Return the id of an image that a list names by id, path or stem."""
    parts = PurePosixPath(name).with_suffix("").parts if "." in name and name not in images else (name,)
    tails = ("__".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in images), "__".join(parts).replace("/", "__"))


def _of_csv(table: Path, root: Path) -> Layout:
    """Return the files that a CSV names, a line an image: image, mask, and if wanted split and group."""
    expected = "expected the columns image and mask (paths below dataset.root), and if wanted split and group"
    rows = [
        {str(key).strip().casefold(): (value or "").strip() for key, value in row.items() if key is not None}
        for row in read_csv(read_text(table, expected))
    ]
    if not rows or not {"image", "mask"} <= rows[0].keys():
        found = ", ".join(rows[0]) if rows else "none"
        raise DataError(table, f"has the columns {found}", expected)
    parts: dict[str, tuple[dict[str, Path], dict[str, Path]]] = {}
    groups = {}
    for number, row in enumerate(rows, 2):
        name = _split_of(row.get("split", ""), table, number, len(parts) == 0 or WHOLE in parts)
        i = "__".join(PurePosixPath(row["image"]).with_suffix("").parts)
        images, masks = parts.setdefault(name, ({}, {}))
        if i in images:
            fault(DataError(table, f"line {number} names {row['image']} again", "name each image once"))
        images[i], masks[i] = root / row["image"], root / row["mask"]
        if row.get("group"):
            groups[i] = row["group"]
    return Layout({name: Part(*pair, table) for name, pair in parts.items()}, table.name, groups)


def _split_of(given: str, table: Path, number: int, may_be_whole: bool) -> str:
    """Return the split that a line of a CSV names, `WHOLE` if no line does."""
    name = next((name for name, names in SPLITS.items() if given.casefold() in names), None)
    if name is None and not (given == "" and may_be_whole):
        raise DataError(
            table,
            f"line {number} is of split {given or 'none'}",
            f"expected one of {', '.join(SPLITS)} in each line",
        )
    return name or WHOLE


def _told_apart(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return splits of folders with ids that no two share: numbers that begin anew get the split's name."""
    ids = [i for part in parts.values() for i in part.images]
    if len(set(ids)) == len(ids):
        return dict(parts)
    return {
        name: Part(
            {f"{name}__{i}": path for i, path in part.images.items()},
            None if part.masks is None else {f"{name}__{i}": path for i, path in part.masks.items()},
            part.source,
        )
        for name, part in parts.items()
    }
