"""SBD, the Semantic Boundaries Dataset: labels for seven times as many of VOC's images as VOC's own.

Hariharan, Arbeláez, Bourdev, Maji, Malik, ICCV 2011: 11,355 images (8,498 train, 2,857 val) of VOC 2011. Many
are in VOC 2012's val, so SBD's own lists are not used: `trainaug` is VOC's train and all of SBD that is not
in VOC's val, 10,582 images.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from segsweep.data.dataset import OfficialSplit, ids_hash
from segsweep.data.download import Archive
from segsweep.data.labels import IndexLabels, LabelFormat, LabelMap, label_png, plain
from segsweep.data.listing import read_ids, visible
from segsweep.data.prepare import Preparation, Task, plan, prepared_from
from segsweep.data.sets.voc2012 import CLASSES, PALETTE, Voc2012, voc_folder
from segsweep.data.split import FileSplit, SplitDataset
from segsweep.errors import DataError

LAYOUT = (
    "VOC's layout with VOC2012/SegmentationClassAug/<id>.png, or SBD's release: "
    "benchmark_RELEASE/dataset/{cls/<id>.mat,img/<id>.jpg,train.txt,val.txt} with VOCdevkit beside it"
)
RELEASE = Archive(
    url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    size=1_419_539_633,
    md5="82b4d87ceb2ed10f6038a1cba92111cb",
    inside="benchmark_RELEASE",
    marker="dataset/train.txt",
)
LISTS = ("trainaug", "train_aug")  # names of the list of 10,582 ids beside SegmentationClassAug
LABEL_BYTES, LABEL_SECONDS = 2_600, 0.03
"""Per label map of 500x375 pixels in one process, measured, including 5 ms for the disk."""


class Sbd(Voc2012):
    """SBD on VOC's images: `train` (not in VOC's train or val), `trainaug` (with VOC's train), VOC's `val`.

    `root` holds SBD in one of two forms.

    - VOCdevkit or VOC2012 with the folder SegmentationClassAug, as SBD is usually shared: palette PNGs for
      VOC's and SBD's images. `trainaug` is the list trainaug.txt (or train_aug.txt) of
      ImageSets/Segmentation, otherwise all labels without VOC's val.
    - benchmark_RELEASE, the original, also if it is beside a VOCdevkit without that folder. VOC's lists and
      images are read from `voc_root`. `segsweep data prepare` optionally turns its labels into PNGs, which
      are read faster.

    VOC's train images have VOC's own label, even if SBD has one, as in SegmentationClassAug: it marks the
    borders, which the benchmark ignores. Images are sorted by id in either form, so that runs do not depend
    on the form.
    """

    splits: tuple[str, ...] = ("train", "trainaug", "val", "test")
    licence = f"SBD: images of PASCAL VOC; {Voc2012.licence}"
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": OfficialSplit(9118, "6d42f86cb89ef37e"),
        "trainaug": OfficialSplit(10582, "855dff350b7f447b"),
        **{name: Voc2012.official[name] for name in ("val", "test")},
    }
    layout = LAYOUT
    fetch = (
        "http://home.bharathh.info/pubs/codes/SBD/download.html (or download=true for the release), and VOC "
        "2012: " + Voc2012.fetch
    )

    def __init__(
        self,
        *,
        root: str | Path,
        voc_root: str | Path | None = None,
        prepared: str | Path | None = None,
        train_split: str = "trainaug",
        **options: Any,
    ) -> None:
        """Take the folder of SBD, and the options that all datasets share.

        `voc_root` is VOCdevkit if `root` is the release, by default beside it; `prepared` is the folder for
        `sbd/`, by default `<root>/segsweep`.
        """
        super().__init__(root=root, train_split=train_split, **options)
        named = self.root.name == RELEASE.inside or (self.root / "dataset" / "cls").is_dir()
        self.given = named or bool(voc_root)
        if self.given:
            self.voc = voc_folder(Path(voc_root or self.root.parent / "VOCdevkit"))
        self.release = self.root if self.given else self.voc.absolute().parents[1] / RELEASE.inside
        self.aug = self.voc / "SegmentationClassAug"
        self.folder = Path(prepared or self.root / "segsweep") / "sbd"

    @property
    def from_release(self) -> bool:
        """Whether labels are the release's; not cached, because a download may change it."""
        return self.given or (not self.aug.is_dir() and self.release.is_dir())

    def read_split(self, name: str) -> SplitDataset:
        """Return one of the splits; raise DataError if lists or labels are missing."""
        return self.sbd_split(name) if name in ("train", "trainaug") else self.voc_split(name)

    def sbd_split(self, name: str) -> FileSplit:
        """Return the images of `train` or `trainaug`, sorted by id."""
        listed, source = self._trainaug()
        own = set(self.voc_ids("train"))
        ids = [i for i in listed if name == "trainaug" or i not in own]
        images = [self._image(i, i in own) for i in ids]
        made = self.from_release and prepared_from(self.folder, "trainaug") == _source(listed)
        released = [self._label(i, i in own) for i in ids]
        labels = [self._made(i) for i in ids] if made else released
        # The release's own labels may be removed after preparation.
        made_from = released if made and (self.release / "dataset" / "cls").is_dir() else None
        return FileSplit(name, ids, images, labels, SbdLabels(), source, made_from)

    def _trainaug(self) -> tuple[list[str], Path]:
        """Return the sorted ids of trainaug, and where they were read."""
        if self.from_release:
            files = [self.release / "dataset" / f"{name}.txt" for name in ("train", "val")]
            listed = {i for file in files for i in read_ids(file, f"{self.layout}; {self.fetch}")}
            return self._without_val(listed | set(self.voc_ids("train"))), files[0].parent
        lists = [*(self.voc_list(name) for name in LISTS), self.folder / "trainaug.txt"]
        for file in lists:
            if file.is_file():
                return sorted(read_ids(file, self.layout)), file
        if not self.aug.is_dir():
            raise DataError(self.aug, "no such folder", f"expected {self.layout}; {self.fetch}")
        return self._without_val({file.stem for file in visible(self.aug, "*.png")}), self.aug

    def _without_val(self, ids: set[str]) -> list[str]:
        return sorted(ids - set(self.voc_ids("val")))

    def _image(self, sample: str, own: bool) -> Path:
        if own or not self.from_release:
            return self.voc / "JPEGImages" / f"{sample}.jpg"
        return self.release / "dataset" / "img" / f"{sample}.jpg"

    def _label(self, sample: str, own: bool) -> Path:
        if not self.from_release:
            return self.aug / f"{sample}.png"
        if own:
            return self.voc / "SegmentationClass" / f"{sample}.png"
        return self.release / "dataset" / "cls" / f"{sample}.mat"

    def _made(self, sample: str) -> Path:
        return self.folder / "SegmentationClassAug" / f"{sample}.png"

    def preparations(self) -> list[Preparation]:
        """Return the release's labels to convert, or the list of SegmentationClassAug if it has none."""
        ids, found = self._trainaug()
        name, source = "trainaug", _source(ids)
        if not self.from_release:
            makes = (
                f"{self.folder / name}.txt: a list of the {len(ids):,} images of {found}, VOC's val left out"
            )
            return [plan(self.folder, name, "", makes, source, ids, ())] if found == self.aug else []
        own = set(self.voc_ids("train"))
        tasks = [Task(self._made(i), sbd_png, (str(self._label(i, i in own)),)) for i in ids]
        folder = "SegmentationClassAug"
        makes = f"{self.folder / folder}: {len(ids):,} labels as PNGs, from {found}"
        return [plan(self.folder, name, folder, makes, source, ids, tasks, LABEL_BYTES, LABEL_SECONDS)]

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the archives to download: VOC, and the release unless SegmentationClassAug exists."""
        return [*super().archives(), *([] if self.aug.is_dir() else [(RELEASE, self.release)])]


def _source(ids: list[str]) -> str:
    return f"SBD's release with VOC's own labels on VOC's images, {len(ids)} ids, {ids_hash(ids)}\n"


class SbdLabels(LabelFormat):
    """The release's `.mat` files with the map in `GTcls.Segmentation`, and PNGs made from them.

    Values are VOC's class indices; SBD marks no borders.
    """

    def __repr__(self) -> str:
        return "SbdLabels()"

    def table(self, file: str | Path) -> IndexLabels | None:
        """Return the table of the PNGs; None for `.mat` files."""
        return None if Path(file).suffix == ".mat" else plain(len(CLASSES))

    def read(self, file: str | Path) -> LabelMap:
        """Return the label map [H, W] of a `.mat` or PNG file; raise DataError if it is neither."""
        if Path(file).suffix != ".mat":
            return plain(len(CLASSES)).read(file)
        try:
            content = loadmat(file, squeeze_me=True, struct_as_record=False, variable_names=["GTcls"])
            label = np.asarray(content["GTcls"].Segmentation)
        except FileNotFoundError as error:
            raise DataError(file, "no such file", "restore it or take it off its split's list") from error
        # scipy reports damage in many ways.
        except (OSError, ValueError, TypeError, KeyError, AttributeError, zlib.error, MatReadError) as error:
            reason = " ".join(str(error).split())
            raise DataError(file, f"is not a label file of SBD ({reason})", "fetch the file again") from error
        if label.ndim != 2 or (label >= len(CLASSES)).any():
            raise DataError(
                file,
                f"GTcls.Segmentation of shape {label.shape} with values up to {label.max()}",
                f"expected a map of 0..{len(CLASSES) - 1}",
            )
        return label.astype(np.uint8)


def sbd_png(file: str) -> bytes:
    """Return a label file of SBD or VOC as a PNG in VOC's colours."""
    return label_png(SbdLabels().read(file), PALETTE)
