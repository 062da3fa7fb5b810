"""segsweep: ablation sweeps for semantic segmentation.

Importing the package is cheap: the names below are looked up when they are first used. It has one side
effect: albumentations asks a package index for a newer version of itself when it is imported, and is told
here not to. Workers inherit the setting.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsweep.api import build
    from segsweep.inference.description import Description
    from segsweep.inference.load import load
    from segsweep.inference.prediction import Prediction
    from segsweep.inference.trained import Trained

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
__all__ = ["Description", "Prediction", "Trained", "__version__", "build", "load"]

_HOMES = {
    "Description": "segsweep.inference.description",
    "Prediction": "segsweep.inference.prediction",
    "Trained": "segsweep.inference.trained",
    "build": "segsweep.api",
    "load": "segsweep.inference.load",
}
"""The stable names of docs/api.md, and the modules that have them."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
