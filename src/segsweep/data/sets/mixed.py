"""VOC's training stages on several datasets, with their images in one stream.

KSAC (section 4.2) trains first on "the mixed dataset of COCO, SBD and VOC", then on "the SBD and VOC mixed
datasets", and last on VOC's train.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit
from segsweep.data.download import Archive
from segsweep.data.prepare import Preparation
from segsweep.data.sets.coco_voc import FETCH, CocoVoc, coco_files
from segsweep.data.sets.coco_voc import LAYOUT as COCO_LAYOUT
from segsweep.data.sets.sbd import LAYOUT, Sbd
from segsweep.data.sets.voc2012 import Voc2012
from segsweep.data.split import JoinedSplit, SplitDataset
from segsweep.errors import OptionError


class VocSbd(Sbd):
    """VOC's train (1,464 images, VOC's own labels) and SBD's (9,118): the images of trainaug, in two parts.

    `weights` are the parts' shares of the training stream, VOC's first; with null an epoch is every image
    once.
    """

    splits: tuple[str, ...] = ("train", "val", "test")
    parts: ClassVar[tuple[str, ...]] = ("voc", "sbd")
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": Sbd.official["trainaug"],
        **{name: Voc2012.official[name] for name in ("val", "test")},
    }

    def __init__(
        self,
        *,
        root: str | Path,
        weights: Sequence[float] | None = None,
        train_split: str = "train",
        **options: Any,
    ) -> None:
        """Take the options of `Sbd`, and null or one weight for each of `parts`."""
        super().__init__(root=root, train_split=train_split, **options)
        self.weights = part_weights(weights, self.parts)

    def read_split(self, name: str) -> SplitDataset:
        """Return the mixture, or VOC's own val or test."""
        return JoinedSplit(name, self.train_parts()) if name == "train" else self.voc_split(name)

    def train_parts(self) -> list[SplitDataset]:
        """The training images, a split for each of `parts`."""
        return [self.voc_split("train"), self.sbd_split("train")]


class CocoSbdVoc(VocSbd):
    """COCO's images with VOC's classes, SBD's and VOC's train in one stream; VOC's val.

    `segsweep data prepare` makes COCO's label maps, see `CocoVoc`.
    """

    parts: ClassVar[tuple[str, ...]] = ("coco", "sbd", "voc")
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        name: Voc2012.official[name] for name in ("val", "test")
    }
    licence = f"{Sbd.licence}; {CocoVoc.licence}"
    layout = f"{LAYOUT}; for coco_root {COCO_LAYOUT}"
    fetch = f"{Sbd.fetch}; COCO: {FETCH}"

    def __init__(
        self,
        *,
        root: str | Path,
        coco_root: str | Path,
        year: int = 2017,
        prepared: str | Path | None = None,
        **options: Any,
    ) -> None:
        """Take the options of `VocSbd` (`root` is VOC's or SBD's folder), and COCO's folder and release."""
        super().__init__(root=root, prepared=prepared, **options)
        given = f"dataset=coco_sbd_voc dataset.root={quote(str(root))}"
        given += f" dataset.coco_root={quote(str(coco_root))}"
        self.coco = coco_files(coco_root, year, prepared, given)

    def train_parts(self) -> list[SplitDataset]:
        """The training images, a split for each of `parts`."""
        return [self.coco.split("train"), self.sbd_split("train"), self.voc_split("train")]

    def preparations(self) -> list[Preparation]:
        """Return COCO's label maps of train and val, and SBD's preparations."""
        return [*self.coco.preparations(), *super().preparations()]

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the archives to download: COCO, VOC and SBD."""
        return [*self.coco.archives(), *super().archives()]


def part_weights(weights: Sequence[float] | None, parts: Sequence[str]) -> tuple[float, ...] | None:
    """Return the weights of a mixture's parts; raise ConfigError unless one positive number each."""
    if weights is None:
        return None
    values = list(weights)
    plausible = all(type(v) in (int, float) and math.isfinite(v) and v > 0 for v in values)
    if len(values) != len(parts) or not plausible:
        expected = f"one positive number for each of {', '.join(parts)}, in this order"
        raise OptionError("weights", values, f"{expected}, or null for weights by size")
    return tuple(float(value) for value in values)
