"""Faults to put into a fake CamVid, one each, with what a check must say of them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from segsweep.data.labels import LabelFormat


class Fault(NamedTuple):
    """A fault, the file that is to be named and words of its problem and repair."""

    do: Callable[[Path], object]
    file: str
    problem: tuple[str, ...]
    repair: str


IMAGE, LABEL = "train/train_0001.jpg", "trainannot/train_0001.png"


def cut(root: Path) -> None:
    content = (root / IMAGE).read_bytes()
    (root / IMAGE).write_bytes(content[: len(content) // 2])


def cut_label(root: Path) -> None:
    content = (root / LABEL).read_bytes()
    (root / LABEL).write_bytes(content[: len(content) // 2])


def deepen(root: Path) -> None:
    deep = cv2.imread(str(root / IMAGE)).astype(np.uint16) * 16
    (root / IMAGE).write_bytes(cv2.imencode(".png", deep)[1].tobytes())


def relabel(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        Image.fromarray(change(np.array(Image.open(root / LABEL)))).save(root / LABEL)

    return do


def with_value(label: np.ndarray, value: int) -> np.ndarray:
    label[0, 0] = value
    return label


def turn(orientation: int, pixels_too: bool = False) -> Callable[[Path], None]:
    """An image whose EXIF data say it is to be turned; its pixels stored so, or merely said."""

    def do(root: Path) -> None:
        image = Image.open(root / IMAGE)
        image.load()
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = image.transpose(Image.Transpose.ROTATE_90) if pixels_too else image
        stored.save(root / IMAGE, exif=exif, quality=95)

    return do


def in_place_of(file: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        (root / file).unlink()
        make(root / file)

    return do


def add_line(root: Path, file: str, line: str) -> None:
    (root / file).write_text((root / file).read_text() + line + "\n")


def drop_line(root: Path, file: str = "train.txt", line: str = "train_0001\n") -> None:
    (root / file).write_text((root / file).read_text().replace(line, ""))


def share_with_val(root: Path) -> None:
    add_line(root, "train.txt", "val_0001")
    for folder, suffix in (("", "jpg"), ("annot", "png")):
        copy = root / f"train{folder}" / f"val_0001.{suffix}"
        copy.write_bytes((root / f"val{folder}" / f"val_0001.{suffix}").read_bytes())


FAULTS = {
    "truncated image": Fault(cut, IMAGE, ("truncated",), "fetch the file again"),
    "truncated label": Fault(cut_label, LABEL, ("cannot be read",), "fetch the file again"),
    "no image": Fault(lambda r: (r / IMAGE).write_bytes(b"<html>"), IMAGE, ("is not an image",), "fetch"),
    "empty image": Fault(lambda r: (r / IMAGE).write_bytes(b""), IMAGE, ("is not an image",), "fetch"),
    "16-bit label": Fault(relabel(lambda a: a.astype(np.uint16)), LABEL, ("mode I;16",), "astype"),
    "wide values": Fault(relabel(lambda a: a.astype(np.uint16) * 256), LABEL, ("mode I;16",), "class index"),
    "colour label": Fault(
        lambda r: Image.open(r / LABEL).convert("RGB").save(r / LABEL), LABEL, ("RGB",), "class index"
    ),
    "grey label as RGB": Fault(relabel(lambda a: np.dstack([a] * 3)), LABEL, ("RGB", "fit 8 bits"), "astype"),
    "16-bit image": Fault(deepen, IMAGE, ("16 bits a channel",), "scaled to 0..255"),
    "label one pixel smaller": Fault(relabel(lambda a: a[:, :-1]), LABEL, ("36x47", "36x48"), "wrong one"),
    "label value": Fault(relabel(lambda a: with_value(a, 200)), LABEL, ("value 200",), "0..10, 255"),
    "one label's void 11": Fault(
        relabel(lambda a: np.where(a == 255, 11, a).astype(np.uint8)), LABEL, ("void stored as 11",), "255"
    ),
    "EXIF, said": Fault(turn(3), IMAGE, ("EXIF orientation 3",), "keep"),
    "EXIF, turned": Fault(turn(6, True), IMAGE, ("EXIF orientation 6", "turned size"), "exif_transpose"),
    "missing image": Fault(lambda r: (r / IMAGE).unlink(), IMAGE, ("missing", "train.txt"), "fetch it again"),
    "missing label": Fault(lambda r: (r / LABEL).unlink(), LABEL, ("missing", "train.txt"), "fetch it again"),
    "folder": Fault(in_place_of(IMAGE, Path.mkdir), IMAGE, ("a folder",), "remove"),
    "broken link": Fault(
        in_place_of(LABEL, lambda p: p.symlink_to("/nowhere/x.png")), LABEL, ("/nowhere/x.png",), "restore"
    ),
    "line twice": Fault(
        lambda r: add_line(r, "train.txt", "train_0001"), "train.txt", ("train_0001", "twice"), "once"
    ),
    "line lost": Fault(drop_line, "train.txt", ("train_0001",), "add the line"),
    "line of no file": Fault(
        lambda r: add_line(r, "train.txt", "x"), "train/x.jpg", ("missing", "train.txt"), "off the list"
    ),
    "in train and val": Fault(
        share_with_val, "train.txt", ("val_0001", "in val too"), "take their lines off"
    ),
    "no text": Fault(
        lambda r: (r / "val.txt").write_bytes(b"\xff\xfe\x00"), "val.txt", ("text file",), "expected"
    ),
    "empty list": Fault(lambda r: (r / "val.txt").write_text("\n"), "val.txt", ("empty",), "expected"),
}


def crlf(root: Path) -> None:
    for split in ("train", "val", "test"):
        (root / f"{split}.txt").write_bytes(
            (root / f"{split}.txt").read_bytes().replace(b"\n", b"\r\n") + b"\r\n"
        )


def mark(root: Path) -> None:
    (root / "train.txt").write_bytes(b"\xef\xbb\xbf" + (root / "train.txt").read_bytes())


def link(root: Path) -> None:
    for file in (IMAGE, LABEL, "train.txt"):
        moved = root / "elsewhere" / Path(file).name
        moved.parent.mkdir(exist_ok=True)
        (root / file).rename(moved)
        (root / file).symlink_to(os.path.relpath(moved, (root / file).parent))


HARMLESS = {
    "nothing": lambda r: None,
    "CRLF": crlf,
    "byte order mark": mark,
    "links": link,
    "grey image": lambda r: Image.open(r / IMAGE).convert("L").save(r / IMAGE),
    "CMYK image": lambda r: Image.open(r / IMAGE).convert("CMYK").save(r / IMAGE),
    "EXIF orientation 1": turn(1),
    "EXIF, label as stored": turn(6),
    "grey label": relabel(lambda a: a),
    "other palette": lambda r: recolour(r),
    "void label": relabel(lambda a: np.full_like(a, 255)),
}


def recolour(root: Path) -> None:
    picture = Image.open(root / LABEL)
    picture.putpalette([255, 0, 255] * 256)
    picture.save(root / LABEL)


class Deadly(LabelFormat):
    """Kills the process that reads a label, as a system without memory does."""

    def read(self, file: str | Path) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
