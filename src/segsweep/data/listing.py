"""How a dataset's lists and folders name its files: a sample a line, or images and labels matched by name.

Knows neither datasets nor what labels mean.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from segsweep.data.labels import LabelFormat
from segsweep.data.split import FileSplit, fault
from segsweep.errors import DataError

PATH = re.compile(r"\S.*?\.(?:png|jpe?g|bmp|tiff?|ppm|pgm|webp|mat)(?=\s|$)", re.IGNORECASE)


def read_list(path: Path, layout: str) -> list[str]:
    """The non-blank lines of a split's list file, without the space around them.

    Raises DataError, showing the expected `layout` of the folder, if there is none to read.
    """
    if not path.parent.is_dir():
        raise DataError(path.parent, "no such folder (dataset.root, under data_dir)", f"expected {layout}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors begin files with a mark
    except FileNotFoundError as error:
        raise DataError(path, "no such list file", f"expected {layout}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, "cannot be read as a text file", f"expected {layout}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_ids(path: Path, layout: str) -> list[str]:
    """The samples that a list file names, one a line: by id, or by paths, of which the first has it as stem.

    Raises DataError as `read_list`.
    """
    lines = [(line, paths_of(line)) for line in read_list(path, layout)]
    return [PurePosixPath(paths[0]).stem if paths else line for line, paths in lines]


def paths_of(line: str) -> list[str]:
    """The paths in a line of a list, as `/JPEGImages/ID.jpg /SegmentationClassAug/ID.png`; none in an id.

    Ids and paths may have spaces in them: a path ends with the suffix of an image or label file.
    """
    return [] if PATH.sub("", line).strip() else PATH.findall(line)


def visible(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match a glob, in the order of their names, hidden ones left out.

    Macs leave a ._NAME.jpg beside NAME.jpg, which holds no image.
    """
    found = sorted(folder.glob(pattern))
    return [file for file in found if not any(p.startswith(".") for p in file.relative_to(folder).parts)]


def by_id(folder: Path, pattern: str, expected: str) -> dict[str, Path]:
    """The files below a folder that match a glob as `*/*_leftImg8bit.png`, by the text of its last `*`.

    Raises DataError, saying what was `expected`, if there is no folder or no such file in it.
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
