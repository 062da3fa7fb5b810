"""A few test images kept with truth and predictions, for reports and for the eye."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.sample import IGNORE_INDEX, Sample
from segsweep.files import fsync

VOID_COLOUR = (224, 224, 192)  # the palette's entry 255 in PASCAL VOC
Palette = Sequence[tuple[int, int, int]]


class PictureWriter:
    """Keeps `count` images, evenly spread over a split: image.jpg, truth.png and one PNG a test.

    A test is named by its strategy and `suffix`, as its folder is.

    Label maps are palette PNGs: their pixels are class indices, their colours the data set's.
    """

    def __init__(
        self,
        folder: Path,
        ids: Sequence[str] | NDArray[np.str_],
        palette: Palette,
        suffix: str = "",
        count: int = 4,
    ) -> None:
        chosen = np.linspace(0, len(ids) - 1, num=min(count, len(ids))).round().astype(int)
        self.folder, self.palette, self.suffix = folder, palette, suffix
        self.chosen = {str(ids[i]) for i in chosen}

    def __call__(self, sample: Sample, predictions: Mapping[str, NDArray[Any]]) -> None:
        """Write the pictures of a chosen sample; others are left alone."""
        if sample.id not in self.chosen:
            return
        folder = self.folder / sample.id.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "image.jpg"]
        Image.fromarray(sample.image).save(written[0], quality=88)
        named = {name + self.suffix: prediction for name, prediction in predictions.items()}
        for name, label in {"truth": sample.label, **named}.items():
            written.append(folder / f"{name}.png")
            palette_image(label, self.palette).save(written[-1])
        for path in written:  # the test that counts on them is synced too
            fsync(path)


def palette_image(label: NDArray[Any], palette: Palette) -> Image.Image:
    """A label map [H, W] as a palette PNG's image; 255 has VOC's colour of void."""
    image = Image.fromarray(label.astype(np.uint8), mode="P")
    image.putpalette(full_palette(palette).tobytes())
    return image


def full_palette(palette: Palette) -> NDArray[np.uint8]:
    """A data set's colours as all 256 of a PNG [256, 3]: black where there is no class, VOC's void at 255."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    colours[IGNORE_INDEX] = VOID_COLOUR
    return colours
