"""COCO images with VOC's classes, labelled with these: the first training stage for VOC.

Lin et al., "Microsoft COCO", ECCV 2014. KSAC (section 4.1) selects "about 60K training images" with a region
above 1,000 pixels, as many as the release of 2014 may give (train2014 has 82,783 images). train2017 (118,287,
all of them from train2014 and val2014) gives more: take `year: 2014` to repeat the paper's number.
"""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from segsweep.data.dataset import SegmentationDataset
from segsweep.data.download import Archive
from segsweep.data.labels import plain
from segsweep.data.listing import read_list
from segsweep.data.prepare import Preparation, Task, plan, prepared_from
from segsweep.data.sets.coco_draw import LEAST_AREA, draw_png, read_annotations
from segsweep.data.sets.voc2012 import CLASSES, PALETTE
from segsweep.data.split import FileSplit, SplitDataset, fault
from segsweep.errors import DataError, OptionError, UnpreparedError
from segsweep.files import digest

OFFICIAL_IMAGES = {2017: {"train": 118_287, "val": 5_000}, 2014: {"train": 82_783, "val": 40_504}}
"""Images in the release, from which those with VOC classes are selected."""
HOST = "http://images.cocodataset.org"
ARCHIVES = {
    2017: (
        ("zips/train2017.zip", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
        ("zips/val2017.zip", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
        ("annotations/annotations_trainval2017.zip", 252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"),
    ),
    2014: (
        ("zips/train2014.zip", 13_510_573_713, "0da8c0bd3d6becc4dcb32757491aca88"),
        ("zips/val2014.zip", 6_645_013_297, "a3d79f5ed8d289b7a7554ce06a5782b3"),
        ("annotations/annotations_trainval2014.zip", 252_872_794, "0a379cfc70b0e71301e0f377548639bd"),
    ),
}
LAYOUT = "COCO's layout: train2017/, val2017/ and annotations/instances_{train,val}2017.json (or 2014)"
FETCH = "https://cocodataset.org/#download (or download=true): train, val and their annotations"
LABEL_BYTES, LABEL_SECONDS = 3_500, 0.012
"""Per label map of 640x480 pixels in one process, measured, including 5 ms for the disk."""


class CocoFiles:
    """COCO's folder, and the label maps made from it."""

    def __init__(self, root: Path, year: int, prepared: Path | None, command: str) -> None:
        """Take the folder with `train<year>`, and that for label maps, by default `<root>/segsweep`.

        `command` makes the label maps, for the error message.
        """
        if year not in OFFICIAL_IMAGES:
            raise OptionError("year", year, "2014 or 2017, COCO's releases")
        self.root, self.year, self.command = root, year, command
        self.folder = (prepared or root / "segsweep") / f"coco_voc{year}"

    def split(self, name: str) -> FileSplit:
        """Return the selected images; raise DataError if label maps are missing or from other annotations."""
        made_from = prepared_from(self.folder, name)
        if made_from is None:
            self._size(name)
            listing = self.folder / f"{name}.txt"
            fault(UnpreparedError(listing, "COCO's label maps are not made yet", self.command))
            return self._without_labels(name)
        if self._annotations(name).is_file() and not made_from.startswith(self._size(name)):
            raise UnpreparedError(
                self.folder / name,
                f"label maps were made from other annotations than {self._annotations(name)}",
                self.command,
            )
        source = self.folder / f"{name}.txt"
        ids = read_list(source, LAYOUT)
        labels = [self.folder / name / f"{i}.png" for i in ids]
        images = self._images(name, ids)
        return FileSplit(name, ids, images, labels, plain(len(CLASSES)), source, made_from)

    def _without_labels(self, name: str) -> FileSplit:
        """Return the images to select, so that they can be checked before label maps are made."""
        source = self._annotations(name)
        ids = [image.stem for image in read_annotations(source) if image.taken]
        return FileSplit(name, ids, self._images(name, ids), None, plain(len(CLASSES)), source)

    def _images(self, name: str, ids: Sequence[str]) -> list[Path]:
        return [self.root / f"{name}{self.year}" / f"{i}.jpg" for i in ids]

    def preparations(self) -> list[Preparation]:
        """Return the label maps of train and val to make; reads COCO's annotations if any is missing."""
        return [self._preparation(name) for name in OFFICIAL_IMAGES[self.year]]

    def _preparation(self, name: str) -> Preparation:
        source, folder = self._source(name), self.folder / name
        if prepared_from(self.folder, name) == source:
            made = self.split(name).labels
            if all(Path(file).is_file() for file in made):
                makes = f"{folder}: label maps"
                return Preparation(self.folder, name, name, makes, source, "", (), len(made))
        images = read_annotations(self._annotations(name))
        taken = [image for image in images if image.taken]
        if not taken:
            raise DataError(self._annotations(name), "no image shows a VOC class", "give COCO's own file")
        ids = [image.stem for image in taken]
        tasks = [Task(folder / f"{i.stem}.png", draw_png, (i.height, i.width, i.regions)) for i in taken]
        makes = (
            f"{folder}: label maps of the {len(taken):,} images with VOC classes, of {len(images):,} in "
            f"{self._annotations(name).name} ({OFFICIAL_IMAGES[self.year][name]:,} in the release)"
        )
        return plan(self.folder, name, name, makes, source, ids, tasks, LABEL_BYTES, LABEL_SECONDS)

    def _annotations(self, name: str) -> Path:
        return self.root / "annotations" / f"instances_{name}{self.year}.json"

    def _source(self, name: str) -> str:
        """Return what label maps are made from: the annotation file's content and the selection rule."""
        size = self._size(name)
        return f"{size}, SHA-256 {digest(self._annotations(name))}, a region above {LEAST_AREA} pixels\n"

    def _size(self, name: str) -> str:
        file = self._annotations(name)  # its size, without reading hundreds of megabytes
        if not file.is_file():
            raise DataError(file, "no such file", f"expected {LAYOUT}; from {FETCH}")
        return f"{file.name}, {file.stat().st_size} bytes"

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the archives to download."""
        found = []
        for path, size, md5 in ARCHIVES[self.year]:
            inside = Path(path).stem if path.startswith("zips/") else "annotations"
            marker = "" if path.startswith("zips/") else f"instances_train{self.year}.json"
            found.append((Archive(f"{HOST}/{path}", size, md5, inside, marker), self.root / inside))
        return found


class CocoVoc(SegmentationDataset):
    """The COCO images with VOC classes: train and val of `year`, at COCO's own size.

    An image is selected for one object of a VOC class above 1,000 pixels; then all its VOC objects are
    labelled (`coco_draw.draw`), and every other class is background. `segsweep data prepare` makes the label
    maps once, because drawing polygons costs more than reading an image.
    """

    classes = CLASSES
    palette = PALETTE
    licence = "COCO: annotations CC BY 4.0, each image under the Flickr licence that its record names"
    splits = ("train", "val")
    test_split = "val"
    layout = LAYOUT
    fetch = FETCH

    def __init__(
        self, *, root: str | Path, year: int = 2017, prepared: str | Path | None = None, **options: Any
    ) -> None:
        """Take COCO's folder and release, and the options that all datasets share.

        `prepared` is the folder for `coco_voc<year>/`, by default `<root>/segsweep`.
        """
        super().__init__(**options)
        given = f"dataset=coco_voc dataset.root={quote(str(root))}"
        self.coco = coco_files(root, year, prepared, given)

    def read_split(self, name: str) -> SplitDataset:
        """Return the selected images of train or val."""
        return self.coco.split(name)

    def preparations(self) -> list[Preparation]:
        """Return the label maps of train and val to make."""
        return self.coco.preparations()

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the archives to download."""
        return self.coco.archives()


def coco_files(root: str | Path, year: int, prepared: str | Path | None, given: str) -> CocoFiles:
    """Return COCO's folder for a dataset's options; `given` are those for dataset and folder, as typed."""
    command = f"segsweep data prepare {given}"
    command += f" dataset.year={year}" if year != 2017 else ""
    command += f" dataset.prepared={quote(str(prepared))}" if prepared else ""
    return CocoFiles(Path(root), year, Path(prepared) if prepared else None, command)
