"""The material beside the checkout (CamVid, ImageNet weights): used where it is, skipped where it is not."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SEGSWEEP_SHARED", Path(__file__).parents[2] / "shared"))


def shared(path: str) -> Path:
    """A file or folder of the shared material; skips the test where there is none."""
    found = FOLDER / path
    if not found.exists():
        pytest.skip(f"needs {path} of the material beside the checkout (or under $SEGSWEEP_SHARED)")
    return found
