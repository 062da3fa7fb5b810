"""SBD's label files as label maps. Light: what prepares files in many processes reads it."""

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from segsweep.data.labels import IndexLabels, LabelFormat, LabelMap, label_png, plain
from segsweep.data.sets.voc_classes import CLASSES, PALETTE
from segsweep.errors import DataError


class SbdLabels(LabelFormat):
    """The release's `.mat` files, which hold the map as `GTcls.Segmentation`, and PNGs made of them.

    Values are VOC's class indices; SBD marks no borders.
    """

    def __repr__(self) -> str:
        return "SbdLabels()"

    def table(self, file: str | Path) -> IndexLabels | None:
        """That of the PNGs."""
        return None if Path(file).suffix == ".mat" else plain(len(CLASSES))

    def read(self, file: str | Path) -> LabelMap:
        """The label map [H, W] of a `.mat` or PNG file; DataError where it is neither."""
        if Path(file).suffix != ".mat":
            return plain(len(CLASSES)).read(file)
        try:
            content = loadmat(file, squeeze_me=True, struct_as_record=False, variable_names=["GTcls"])
            label = np.asarray(content["GTcls"].Segmentation)
        except FileNotFoundError as error:
            raise DataError(file, "no such file", "restore it or take it off its split's list") from error
        # scipy reports damage by whatever it met first.
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
    """A label file of SBD, or VOC's own, as a PNG in VOC's colours."""
    return label_png(SbdLabels().read(file), PALETTE)
