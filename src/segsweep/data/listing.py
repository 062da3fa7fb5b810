"""Files of a split from lists (one sample a line) or folders (images and labels matched by name)."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from segsweep.data.labels import LabelFormat
from segsweep.data.split import FileSplit, fault
from segsweep.errors import DataError

PATH = re.compile(r"\S.*?\.(?:png|jpe?g|bmp|tiff?|ppm|pgm|webp|mat)(?=\s|$)", re.IGNORECASE)


def read_list(path: Path, layout: str) -> list[str]:
    """Return the non-blank lines of a split's list file, stripped.

    Raises DataError, showing the expected `layout`, if it cannot be read.
    """
    return [line.strip() for line in read_text(path, layout).splitlines() if line.strip()]


def read_text(path: Path, layout: str) -> str:
    """Return the text of a list or table; raise DataError, showing the expected `layout`, if unreadable."""
    if not path.parent.is_dir():
        raise DataError(path.parent, "no such folder (dataset.root, under data_dir)", f"expected {layout}")
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
    except FileNotFoundError as error:
        raise DataError(path, "no such list file", f"expected {layout}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, "cannot be read as a text file", f"expected {layout}") from error


def read_ids(path: Path, layout: str) -> list[str]:
    """Return the ids in a list file: whole lines, or the stem of a line's first path."""
    lines = [(line, paths_of(line)) for line in read_list(path, layout)]
    return [PurePosixPath(paths[0]).stem if paths else line for line, paths in lines]


def paths_of(line: str) -> list[str]:
    """Return the paths in a line such as `/JPEGImages/ID.jpg /SegmentationClassAug/ID.png`; none for an id.

    Ids and paths may contain spaces: a path ends with the suffix of an image or label file.
    """
    return [] if PATH.sub("", line).strip() else PATH.findall(line)


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return the files below a folder that match a glob, sorted, without hidden ones (macOS's ._NAME.jpg)."""
    found = sorted(folder.glob(pattern))
    return [file for file in found if not any(p.startswith(".") for p in file.relative_to(folder).parts)]


def by_id(folder: Path, pattern: str, expected: str) -> dict[str, Path]:
    """Return the files below a folder that match a glob such as `*/*_leftImg8bit.png`, by its last `*`.

    Raises DataError, showing what was `expected`, if there is no folder or no such file.
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
    """Return a split of images and labels with the same ids, sorted by id.

    Raises DataError, naming a file, if an image has no label or a label no image.
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
