"""A folder's images and masks by lists of its splits, or by a CSV of pairs."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from segsweep.data.listing import paths_of, read_list, read_text
from segsweep.data.sets.folder_classes import read_csv
from segsweep.data.sets.folder_parts import JOINT, LAYOUT, SPLITS, WHOLE, Layout, Part, id_of, shortened
from segsweep.data.split import fault
from segsweep.errors import DataError


def listed(file: Path, root: Path, whole: Part) -> Part:
    """Return the files that a list names: by id, by the image's path, or by both paths."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for line in read_list(file, LAYOUT):
        paths = paths_of(line)
        if len(paths) > 2:
            raise DataError(file, f"a line of {len(paths)} paths", "expected an id, or an image and its mask")
        if len(paths) == 2:
            image, mask = (root / path.lstrip("/") for path in paths)
            i = id_of(paths[0].lstrip("/"))
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
    tails = (JOINT.join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in images), JOINT.join(parts).replace("/", JOINT))


def of_csv(table: Path, root: Path) -> Layout:
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
        if not (row["image"] and row["mask"]):
            raise DataError(table, f"line {number} lacks an image or a mask", expected)
        name = _split_of(row.get("split", ""), table, number, len(parts) == 0 or WHOLE in parts)
        i = id_of(row["image"])
        images, masks = parts.setdefault(name, ({}, {}))
        if i in images:
            fault(DataError(table, f"line {number} names {row['image']} again", "name each image once"))
        images[i], masks[i] = root / row["image"], root / row["mask"]
        if row.get("group"):
            groups[i] = row["group"]
    return shortened({name: Part(*pair, table) for name, pair in parts.items()}, table.name, groups)


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
