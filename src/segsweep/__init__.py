"""segsweep: ablation sweeps for semantic segmentation.

Importing the package is cheap and has no side effect but one: albumentations asks a package index for
a newer version of itself when it is imported, and is told here not to. Workers inherit the setting.
"""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
