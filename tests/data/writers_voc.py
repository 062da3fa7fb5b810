"""Fake VOC 2012 and SBD in their official layouts, a few small files each, the same for the same seed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from segsweep.data.sets.voc2012 import CLASSES, PALETTE

VOID = 255
TRAIN, VAL, EXTRA, TEST = "2007_00000{}", "2008_00000{}", "2009_00000{}", "2010_00000{}"
"""Ids of VOC's train, val and test, and of the images that SBD alone has labels of."""


def write_voc(
    devkit: Path,
    train: int = 3,
    val: int = 2,
    extra: int = 3,
    test: int = 1,
    size: tuple[int, int] = (36, 48),
    aug: bool = True,
    seed: int = 0,
) -> Path:
    """Write VOCdevkit, with SegmentationClassAug (no list) where `aug`; `size` is (height, width).

    A label holds a few rectangles of classes, those of VOC's own images with a border of 255.
    """
    voc, rng = devkit / "VOC2012", np.random.default_rng(seed)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True, exist_ok=True)
    for name, pattern, count in (("train", TRAIN, train), ("val", VAL, val), ("test", TEST, test)):
        ids = [pattern.format(i) for i in range(count)]
        (voc / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("".join(f"{i}\n" for i in ids))
    for pattern, count in ((TRAIN, train), (VAL, val), (EXTRA, extra), (TEST, test)):
        for i in range(count):
            image, label = scene(rng, size, border=pattern != EXTRA)
            Image.fromarray(image).save(voc / "JPEGImages" / f"{pattern.format(i)}.jpg", quality=95)
            if pattern in (TRAIN, VAL):
                save_label(voc / "SegmentationClass" / f"{pattern.format(i)}.png", label)
            if aug and pattern != TEST:
                save_label(voc / "SegmentationClassAug" / f"{pattern.format(i)}.png", label)
    return devkit


def write_release(release: Path, devkit: Path) -> Path:
    """Write benchmark_RELEASE for the images of a `write_voc` with `aug`: all but VOC's first train image.

    The labels are SegmentationClassAug's with borders filled, as SBD has none.
    """
    dataset, voc = release / "dataset", devkit / "VOC2012"
    for folder in ("cls", "img"):
        (dataset / folder).mkdir(parents=True)
    stems = sorted(file.stem for file in (voc / "SegmentationClassAug").glob("*.png"))[1:]
    for stem in stems:
        label = np.array(Image.open(voc / "SegmentationClassAug" / f"{stem}.png"))
        save_mat(dataset / "cls" / f"{stem}.mat", np.where(label == VOID, 0, label).astype(np.uint8))
        (dataset / "img" / f"{stem}.jpg").write_bytes((voc / "JPEGImages" / f"{stem}.jpg").read_bytes())
    (dataset / "train.txt").write_text("".join(f"{stem}\n" for stem in stems[::2]))
    (dataset / "val.txt").write_text("".join(f"{stem}\n" for stem in stems[1::2]))
    return release


def save_mat(file: Path, label: NDArray[np.uint8]) -> None:
    """A label as the release stores it: a struct with the map, its classes and their boundaries."""
    present = np.setdiff1d(np.unique(label), [0])
    boundaries = np.empty((20, 1), dtype=object)
    boundaries[:] = [[np.zeros(label.shape, dtype=bool)] for _ in range(20)]
    content = {"Boundaries": boundaries, "Segmentation": label, "CategoriesPresent": present[:, None]}
    savemat(file, {"GTcls": content}, do_compression=True)


def save_label(file: Path, label: NDArray[np.uint8]) -> None:
    """A palette PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(label)
    picture.putpalette([*np.ravel(PALETTE), *[0] * (3 * (256 - len(PALETTE)))])
    picture.save(file)


def scene(
    rng: np.random.Generator, size: tuple[int, int], border: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image [H, W, 3] of rectangles in their classes' colours, and its label [H, W]."""
    label = np.zeros(size, dtype=np.uint8)
    for kind in rng.choice(np.arange(1, len(CLASSES)), 3, replace=False):
        top, left = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        if border:
            label[top : top + 12, left : left + 12] = VOID
        label[top + 1 : top + 11, left + 1 : left + 11] = kind
    colours = np.zeros((256, 3))
    colours[: len(PALETTE)] = PALETTE
    noisy = colours[label] + rng.normal(0, 10, (*size, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), label
