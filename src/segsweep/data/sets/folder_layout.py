"""Where a folder has its images and masks, and which belong together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segsweep.data.listing import visible
from segsweep.data.sets.folder_lists import listed, of_csv
from segsweep.data.sets.folder_parts import LAYOUT, SPLITS, WHOLE, Layout, Part, id_of, shortened, told_apart
from segsweep.data.split import fault, some
from segsweep.errors import DataError

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annotation", "segmentationclass", "gt")
PAIRS = "pairs.csv"
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".avif",
}  # fmt: skip
ENDING = re.compile(r"[-_. ](masks?|labels?|gt|seg|segmentation|annotations?|l)$")
"""What a mask's name may have besides its image's."""


def find_layout(root: Path, pairs: Path | None) -> Layout:
    """Return the files of a folder.

    Raises:
        DataError: they are laid out in no known way, or a list is wrong.
    """
    table = pairs or root / PAIRS
    if pairs is not None or table.is_file():
        return of_csv(table, root)
    if not root.is_dir():
        raise DataError(root, "no such folder (dataset.root)", f"expected {LAYOUT}")
    images, masks = _within(root, IMAGES), _within(root, MASKS)
    lists = {name: file for name in SPLITS if (file := _list(root, name)) is not None}
    if lists:
        whole = _pair(images, masks) if images and masks else Part({}, {}, root)
        parts = {name: listed(file, root, whole) for name, file in lists.items()}
        return shortened(parts, f"lists {', '.join(file.name for file in lists.values())}")
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
    return Layout(told_apart(parts), f"folders {', '.join(folder.name for folder in split.values())}")


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
            yield id_of(path.relative_to(folder).as_posix()), path


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
