"""A fake CamVid as released, 32 colours. Its 11-class layouts are written by `writers`."""

from pathlib import Path

import numpy as np
from PIL import Image

from segsweep.data.sets.camvid_release import COLOURS
from tests.data.writers import blocks, picture

FRAMES = {
    "train": ("0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_00901", "0016E5_08190"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "Seq05VD_f00000", "Seq05VD_f02610"),
}
"""A few names of the release, those at the borders of the splits among them."""


def write_camvid_release(
    root: Path, size: tuple[int, int] = (48, 64), seed: int = 0, folders: tuple[str, str] | None = None
) -> Path:
    """Write images and labels in which all 32 colours occur, and label_colors.txt.

    `folders` are the two names to use; without, those of the release.
    """
    rng = np.random.default_rng(seed)
    palette = dict(enumerate(colour for colour, _ in COLOURS.values()))
    images, labels = folders or ("701_StillsRaw_full", "LabeledApproved_full")
    for folder in (images, labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for frame in (frame for frames in FRAMES.values() for frame in frames):
        label = blocks(rng, size, range(32))
        Image.fromarray(picture(rng, label, palette)).save(root / images / f"{frame}.png")
        colours = np.array(list(palette.values()), dtype=np.uint8)[label]
        Image.fromarray(colours).save(root / labels / f"{frame}_L.png")
    lines = [f"{r} {g} {b}\t{name}\n" for name, ((r, g, b), _) in COLOURS.items()]
    (root / "label_colors.txt").write_text("".join(lines) + "\n")
    return root
