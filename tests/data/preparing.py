"""Small preparations, light to import: worker processes, and those to be killed, start with this module."""

import os
import sys
import time
from pathlib import Path

from segsweep.data import prepare
from segsweep.data.prepare import Preparation, Task
from segsweep.data.sets.coco_draw import Region, draw_png
from segsweep.errors import DataError

IMAGES = 300
SIDE = 128


def preparation(folder: Path, contents: list[str], source: str = "s") -> Preparation:
    """One text file for each of `contents`; "wrong" is a fault of the source."""
    tasks = [Task(folder / "labels" / f"{i}.txt", text, (content,)) for i, content in enumerate(contents)]
    return listed(folder, tasks, source)


def drawings(folder: Path) -> Preparation:
    """Label maps of made-up regions."""
    tasks = []
    for i in range(IMAGES):
        top, left = i % 70, i * 7 % 70
        polygon = [left, top, left + 50, top, left + 50, top + 40, left, top + 50]
        regions = [Region(1 + i % 20, 2250, False, [polygon]), Region(1, 99.5, False, [[3, 3, 9, 3, 9, 99]])]
        tasks.append(Task(folder / "labels" / f"{i}.png", draw_png, (SIDE, SIDE, regions)))
    return listed(folder, tasks, "s")


def listed(folder: Path, tasks: list[Task], source: str) -> Preparation:
    ids = [str(i) for i in range(len(tasks))]
    return prepare.plan(folder, "train", "labels", "labels", source, ids, tasks, 100, 2)


def text(content: str) -> bytes:
    if content == "wrong":
        raise DataError("source.mat", "is not a label file")
    return content.encode()


def sleep(folder: str) -> bytes:
    """Tell who works here, and do not come to an end."""
    (Path(folder) / f"{os.getpid()}.started").touch()
    time.sleep(120)
    return b""


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def main(kind: str, folder: Path) -> None:
    sleeps = [Task(folder / "labels" / f"{i}", sleep, (str(folder),)) for i in range(2)]
    prepare.run([drawings(folder) if kind == "drawings" else listed(folder, sleeps, "s")], 2, quiet)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
