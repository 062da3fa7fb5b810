"""Splits that are folders: a data set without lists, whose images and labels are matched by name.

Knows neither data sets nor what labels mean.
"""

from collections.abc import Mapping
from pathlib import Path

from segsweep.data.labels import LabelFormat
from segsweep.data.split import FileSplit, fault
from segsweep.errors import DataError


def visible(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match a glob, in the order of their names, hidden ones left out.

    Macs leave a ._NAME.jpg beside NAME.jpg, which holds no image.
    """
    found = sorted(folder.glob(pattern))
    return [file for file in found if not any(p.startswith(".") for p in file.relative_to(folder).parts)]


def by_id(folder: Path, pattern: str, expected: str) -> dict[str, Path]:
    """The files below a folder that match a glob as `*/*_leftImg8bit.png`, by the text of its last `*`.

    Raises DataError, saying what was `expected`, where there is no folder or no such file in it.
    """
    if not folder.is_dir():
        raise DataError(folder, "no such folder (dataset.root, under data_dir)", f"expected {expected}")
    suffix = pattern.rpartition("*")[2]
    files = {path.name.removesuffix(suffix): path for path in visible(folder, pattern)}
    if not files:
        raise DataError(folder, f"holds no {pattern}", f"expected {expected}")
    return files


def paired(
    name: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    label_format: LabelFormat,
    source: str | Path,
) -> FileSplit:
    """A split of images with the labels of the same ids, in the order of the ids.

    Raises DataError, naming a file, where an image has no label or a label no image.
    """
    for kind, files, other, partners in (
        ("image", images, "label", labels),
        ("label", labels, "image", images),
    ):
        alone = sorted(files.keys() - partners.keys())
        for i in alone:
            what = f"{kind} without {other} of the same name ({len(alone)} of {len(files)} have none)"
            fault(DataError(files[i], what, f"restore the {other} or remove the {kind}"))
    ids = sorted(images.keys() & labels.keys())
    return FileSplit(name, ids, [images[i] for i in ids], [labels[i] for i in ids], label_format, source)
