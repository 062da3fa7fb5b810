"""A folder of one's own images and masks, without a Python class: its layout, classes and split are found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from segsweep.data.dataset import SegmentationDataset
from segsweep.data.listing import paired
from segsweep.data.sets.folder_classes import read_classes, table_in
from segsweep.data.sets.folder_layout import find_layout
from segsweep.data.sets.folder_masks import survey
from segsweep.data.sets.folder_parts import LAYOUT
from segsweep.data.sets.folder_split import TRAIN, check_apart, groups_by, with_splits
from segsweep.data.sets.folder_table import find_classes
from segsweep.data.split import FileSplit, fault


class Folder(SegmentationDataset):
    """Images and masks in a folder, in any of the layouts that `folder_layout` knows.

    All masks are read when the dataset is built, once, as what they hold is kept in the cache folder: so
    classes are found, and a mask that cannot be used is an error before anything trains. A folder without
    splits is split by share; one without val has a share of train for it, and one without test, or without
    masks for it, is tested on val.
    """

    layout = LAYOUT
    takes = ("num_classes",)
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {"trainval": (TRAIN, "val")}

    def __init__(
        self,
        *,
        root: str | Path,
        name: str | None = None,
        num_classes: int | None = None,
        pairs: str | Path | None = None,
        classes: str | Path | None = None,
        ignore: Sequence[int | str] | int | str | None = None,
        val_share: float | None = None,
        test_share: float | None = None,
        split_seed: int = 0,
        group: str | None = None,
        train_split: str = TRAIN,
        cache: str | Path | None = None,
    ) -> None:
        """Take the folder and, if they are not to be found, what it holds.

        `name` is what protocol cards call it. `num_classes` is null for as many as are found. `pairs` is a
        CSV of images and masks, `classes` the table of classes, by default those in `root`. `ignore` are
        values, colours (`#RRGGBB`) or names.
        `val_share` and `test_share` are shares of the images, `group` a regular expression that finds the
        part of an id that its group shares.

        Raises:
            ConfigError: an option contradicts the folder.
            DataError: the folder cannot be understood, or masks cannot be used (`split.fault`).
        """
        self.root = Path(root).expanduser()
        found = find_layout(self.root, None if pairs is None else Path(pairs).expanduser())
        self.groups = groups_by(
            group, found.groups, [i for part in found.parts.values() for i in part.images]
        )
        self.group_unit = "group" if group is not None or found.groups else ""
        self.title = name or ""
        shares = {"val_share": val_share, "test_share": test_share}
        self.parts, how = with_splits(found.parts, self.groups, shares, split_seed)
        if self.group_unit:
            check_apart(self.parts, self.groups)
        self.splits = tuple(self.parts)
        self.test_split = "test" if "test" in self.parts and self.parts["test"].masks else "val"
        super().__init__(train_split=train_split, cache=cache)

        masks = {
            mask: part.images.get(i) for part in self.parts.values() for i, mask in (part.masks or {}).items()
        }
        table = table_in(self.root) if classes is None else Path(classes).expanduser()
        rows = [] if table is None else read_classes(table)
        self._classes = find_classes(survey(masks, self.cache), rows, table, ignore, num_classes, self.root)
        for error in self._classes.wrong:
            fault(error)
        self.classes, self.palette = self._classes.names, tuple(self._classes.palette)
        self.notes = (f"{found.told}{how}", *self._classes.notes)

    def group_of(self, id: str) -> str | None:  # type: ignore[override]
        """Return the group of an image, by `group` or by the CSV."""
        return self.groups.get(id) if self.group_unit else None

    def read_split(self, name: str) -> FileSplit:
        """Return the files of a split; raise DataError if an image has no mask or a mask no image."""
        part, label_format = self.parts[name], self._classes.format
        if part.masks is None:
            ids = sorted(part.images)
            images = [part.images[i] for i in ids]
            split = FileSplit(name, ids, images, None, label_format, part.source)
        else:
            split = paired(name, part.images, part.masks, label_format, part.source)
        split.meaning = repr(label_format)
        return split
