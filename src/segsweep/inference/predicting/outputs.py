"""What is written of each prediction, below one folder:

    masks/NAME.png              class indices with the dataset's palette, at the input's size
    masks/NAME/000012.png       the same of a video's frame, from 0: video codecs would change the indices
    overlays/NAME.jpg, .mp4     the classes' colours over the image or the video, above a legend
    probabilities/NAME.npz      `probabilities` uint8 [K, H, W], in 255ths
    areas.csv                   pixels of each class in each image and frame
    predictions.json            what made them, and what could not be read

Letters: `K` classes, `H`, `W` the image.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.labels import Palette, label_png, read_indices
from segsweep.errors import OptionError
from segsweep.files import drafted, drafts, write_bytes
from segsweep.inference.predicting.outputs_journal import JOURNAL, PLACES
from segsweep.inference.predicting.overlay import blended, even, in_legend, legend
from segsweep.inference.predicting.video import Video, write_video
from segsweep.inference.prediction import class_pixels
from segsweep.terminal import csv_text

MASKS, OVERLAYS, PROBABILITIES = "masks", "overlays", "probabilities"
AREAS, SUMMARY = "areas.csv", "predictions.json"
COLUMNS = ("file", "frame", "class", "pixels", "share")
QUALITY = 90
Map = NDArray[np.uint8]


@dataclass(frozen=True)
class Outputs:
    """The folder of predictions, and which forms are written there.

    Attributes:
        folder: of all outputs.
        classes: their names.
        palette: their colours.
        overlay, probabilities: whether these are wanted.
    """

    folder: Path
    classes: Sequence[str]
    palette: Palette
    overlay: bool = False
    probabilities: bool = False

    def check_folder(self) -> None:
        """Refuse a folder that something else than predictions is in, such as a dataset's own masks.

        Raises:
            OptionError: it is one, or a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise OptionError("out", self.folder, "a folder", problem="is a file")
        is_ours = (self.folder / JOURNAL).is_file()
        if not is_ours and any(not path.name.startswith(".") for path in self.folder.glob("*")):
            problem = "holds files that segsweep predict did not write"
            raise OptionError("out", self.folder, "a new or empty folder", problem=problem)

    def write(
        self, name: str, frame: int | None, image: Map, mask: Map, scores: NDArray[Any] | None
    ) -> tuple[str, ...]:
        """Write the outputs of an image, or of a video's frame; return their places below the folder.

        Args:
            name: of the input's outputs.
            frame: its number; None for an image.
            image: what was predicted, [H, W, 3].
            mask: its classes [H, W].
            scores: probabilities [K, H, W], if they are wanted.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        own = name if frame is None else frame_name(name, frame)
        written = [self._write(f"{MASKS}/{own}.png", label_png(mask, self.palette))]
        if scores is not None:
            content = io.BytesIO()
            # Class by class: at once, it would take as much memory as the network.
            shares = np.stack([np.rint(255 * each).astype(np.uint8) for each in scores])
            np.savez_compressed(content, probabilities=shares)
            written.append(self._write(f"{PROBABILITIES}/{own}.npz", content.getvalue()))
        if self.overlay and frame is None:
            content = io.BytesIO()
            shown = in_legend(self.pixels(mask))
            strip = legend(image.shape[1], shown, self.classes, self.palette)
            picture = np.concatenate([blended(image, mask, self.palette), strip])
            Image.fromarray(picture).save(content, "JPEG", quality=QUALITY)
            written.append(self._write(f"{OVERLAYS}/{own}.jpg", content.getvalue()))
        return tuple(written)

    def write_overlay(self, name: str, video: Video, frames: int, pixels: Sequence[int]) -> str:
        """Encode a video's overlay from its masks, all of which are there; return its place.

        Args:
            name: of the video's outputs.
            video: the input.
            frames: how many of its frames have masks.
            pixels: of each class in the whole video: its legend is the same in all frames.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        strip = legend(video.size[1], in_legend(pixels), self.classes, self.palette)
        place = f"{OVERLAYS}/{name}.mp4"
        with drafted(self.folder / place, PLACES, "tmp.mp4") as draft:
            write_video(draft, self._overlaid(name, video, frames, strip), video.fps)
        return place

    def _overlaid(self, name: str, video: Video, frames: int, strip: Map) -> Iterator[Map]:
        for index, image in video.frames(lambda index: index < frames):
            if image is None:
                return
            mask = read_indices(self.folder / MASKS / f"{frame_name(name, index)}.png")
            yield even(np.concatenate([blended(image, mask, self.palette), strip]))

    def write_areas(self, counted: Iterable[tuple[str, int | None, Sequence[int]]]) -> None:
        """Write areas.csv, from a file, a frame in it, and the pixels of each class there."""
        with drafted(self.folder / AREAS, PLACES) as draft, draft.open("w", encoding="utf-8") as table:
            table.write(csv_text([], COLUMNS))
            for file, frame, pixels in counted:
                rows = [
                    {"file": file, "frame": frame, "class": name, "pixels": count, "share": share}
                    for name, count in zip(self.classes, pixels, strict=True)
                    for share in [f"{count / sum(pixels):.6f}"]
                ]
                table.write(csv_text(rows, COLUMNS).partition("\n")[2])

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write predictions.json."""
        self._write(SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False).encode() + b"\n")

    def pixels(self, mask: Map) -> tuple[int, ...]:
        """Return the number of pixels of each class in a mask [H, W]."""
        return tuple(class_pixels(mask, len(self.classes)).tolist())

    def remove_drafts(self) -> None:
        """Remove what a killed process left unfinished; call it as the only process that writes here."""
        for path in list(drafts(self.folder)):
            with suppress(OSError):
                path.unlink()

    def _write(self, place: str, content: bytes) -> str:
        write_bytes(self.folder / place, content, PLACES)
        return place


def frame_name(name: str, index: int) -> str:
    """Return the name of a frame's outputs."""
    return f"{name}/{index:06d}"
