"""Shapes: a built-in dataset, drawn on the fly, that rewards heads with more scales.

An object's colour says little about its class, its texture nothing, its outline everything; sizes span a
16-fold range, so that inside a large object the evidence is far away. It needs no files, and is meant for
first runs, tests and quick comparisons. Its figures do not compare with those of other datasets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segsweep.data.dataset import SegmentationDataset
from segsweep.data.sample import Sample, height_width
from segsweep.data.sampling import key
from segsweep.data.sets.shapes_draw import CLASSES, draw
from segsweep.data.split import SplitDataset
from segsweep.errors import OptionError


class Shapes(SegmentationDataset):
    """Pictures of disks, squares, triangles, rings and crosses on textured ground.

    A picture is a pure function of (`data_seed`, split, index, sizes and classes): runs with different
    `seed` see the same pictures, and no picture is in two splits.
    """

    classes: tuple[str, ...] = CLASSES
    palette: tuple[tuple[int, int, int], ...] = (
        (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0),
    )  # fmt: skip
    licence = "Shapes: drawn by segsweep, MIT"

    takes = ("num_classes", "size")

    def __init__(
        self,
        *,
        num_classes: int = len(CLASSES),
        size: int | Sequence[int],
        train_images: int = 2000,
        val_images: int = 50,
        test_images: int = 100,
        image_size: int | Sequence[int] | None = None,
        data_seed: int = 0,
        border: int = 1,
        **options: Any,
    ) -> None:
        """Take the number of classes, background included, and of pictures in each split.

        `image_size` is the pictures' size in pixels, by default that of the training crop (`size`); `border`
        is the width in pixels of the ignored outline around objects. Other options are those of all datasets.
        Raises ConfigError if a value is invalid.
        """
        if type(num_classes) is not int or not 2 <= num_classes <= len(CLASSES):
            known = f"2 to {len(CLASSES)} ({', '.join(CLASSES)})"
            raise OptionError("num_classes", num_classes, f"as many as Shapes has, {known}")
        self.classes, self.palette = CLASSES[:num_classes], self.palette[:num_classes]
        super().__init__(**options)
        self.images = {"train": train_images, "val": val_images, "test": test_images}
        for option, value in (
            *((f"{name}_images", n) for name, n in self.images.items()),
            ("border", border),
        ):
            if type(value) is not int or value < 0:
                raise OptionError(option, value, "a whole number of at least 0")
        self.image_size = height_width(size) if image_size is None else height_width(image_size, "image_size")
        self.data_seed, self.border = data_seed, border

    def read_split(self, name: str) -> "ShapesSplit":
        """Return the pictures of a split; raise DataError if it has none."""
        return ShapesSplit(
            name, self.images[name], self.image_size, self.num_classes, self.data_seed, self.border
        )


class ShapesSplit(SplitDataset):
    """The pictures of one split, drawn when they are read."""

    def __init__(
        self, name: str, images: int, size: tuple[int, int], num_classes: int, data_seed: int, border: int
    ) -> None:
        # Ids differ between seeds, and so does a hash of the ids.
        ids = [f"s{data_seed}_{name}_{index:05d}" for index in range(images)]
        super().__init__(name, ids, f"dataset.{name}_images")
        self.size, self.num_classes, self.data_seed, self.border = size, num_classes, data_seed, border

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng(key(self.data_seed, "shapes", self.name, index))
        image, label = draw(rng, *self.size, self.num_classes, self.border)
        return Sample(image, label, str(self.ids[index]))
