"""Archives of predictions: packed so that equal predictions are equal files, read back and checked.

Benchmarks take few uploads, so one that is refused costs days: what its rules say is checked here beforehand.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from segsweep.data.dataset import Submission
from segsweep.data.labels import Palette, full_palette, ranges
from segsweep.data.split import some
from segsweep.errors import DataError

Size = tuple[int, int]
FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can name."""
GREY, PALETTE = 0, 3
"""Colour types in a PNG's header (PNG specification, section 11.2.1)."""


def pack(folder: Path, file: Path, archive: str) -> None:
    """Put all files of a folder into one `tar` or `zip`, in the order of their names.

    Times, places and owners are left out, so that equal files make equal bytes.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if archive == "tar":
        with tarfile.open(file, "w") as tar:
            for name, path in sorted(paths.items()):
                entry = tarfile.TarInfo(name)  # by default: time 0, mode 644, no owner
                entry.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(entry, content)
        return
    with zipfile.ZipFile(file, "w") as zipped:
        for name, path in sorted(paths.items()):
            member = zipfile.ZipInfo(name, FIRST_MOMENT)  # not compressed: PNGs are
            member.create_system, member.external_attr = 3, 0o644 << 16  # a Unix file, on any system
            zipped.writestr(member, path.read_bytes())


def check(path: Path, form: Submission, sizes: Mapping[str, Size | None], palette: Palette | None) -> None:
    """Read an archive or a folder back and compare it with what its form promises.

    Args:
        path: the archive, or the folder if `form` names no archive.
        form: what the benchmark takes.
        sizes: (H, W) of each image of the split, by id; None for an image without a prediction.
        palette: the colours of the stored values; None for grey files.

    Raises:
        DataError: names are missing or too many, or a file has another size, mode or value than expected.
    """
    expected = {form.member.format(id=id): size for id, size in sizes.items()}
    found: set[str] = set()
    try:
        for name, content in members(path, form.archive):
            if name in found or expected.get(name) is None:
                raise DataError(path, f"holds {name} twice, or it is no prediction of the split")
            found.add(name)
            problem = _problem(content, form, expected[name], palette)
            if problem:
                raise DataError(path, f"{name}: {problem}")
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(path, f"cannot be read as a {form.archive} ({error})", "write it again") from error
    missing = sorted(expected.keys() - found)
    if missing:
        raise DataError(path, f"{len(missing)} of {len(expected)} predictions are missing: {some(missing)}")


def members(path: Path, archive: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of an archive, or of a folder if `archive` is empty."""
    if archive == "tar":
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member)
                yield member.name, content.read() if content else b""
    elif archive == "zip":
        with zipfile.ZipFile(path) as zipped:
            yield from ((name, zipped.read(name)) for name in zipped.namelist())
    else:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()


def _problem(content: bytes, form: Submission, size: Size | None, palette: Palette | None) -> str | None:
    """Say what is wrong with one PNG; None if it is as expected."""
    # Read from the header, as a decoder unpacks fewer bits and does not tell.
    depth_and_colours = tuple(content[24:26])
    if depth_and_colours != (8, GREY if palette is None else PALETTE):
        kind = "grey" if palette is None else "palette"
        return f"depth and colour type {depth_and_colours} in its header; expected an 8-bit {kind} PNG"
    try:
        with Image.open(io.BytesIO(content)) as image:
            stored, colours = np.asarray(image), image.getpalette()
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be read as an image ({error})"
    if stored.shape != size:
        return f"{stored.shape} [H, W] for an image of {size}"
    if palette is not None and colours != full_palette(palette).ravel().tolist():
        return "another palette than the dataset's"
    allowed = {value: None for value in form.values.values()}
    wrong = [str(value) for value in np.unique(stored) if int(value) not in allowed]
    return f"value {some(wrong)}; expected {ranges(allowed)}" if wrong else None
