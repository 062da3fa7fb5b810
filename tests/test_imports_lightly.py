"""What libraries import in passing costs no process its seconds, and is there for whoever uses it."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import segsweep
from segsweep.imports import PASSING, UNWANTED

CHECK = """
import sys
from segsweep.imports import import_lightly
import_lightly()
import segsweep.execution.execute
import timm, torchmetrics
heavy = {"scipy.signal", "scipy.stats", "wandb", "matplotlib"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()

from timm.utils import summary
assert summary.wandb.__name__ == "wandb" and "wandb" not in sys.modules
import wandb
assert summary.wandb.Settings is wandb.Settings

import numpy as np, scipy.signal
import torchmetrics as imported
assert np.allclose(scipy.signal.windows.hamming(3), [0.08, 1, 0.08])
assert scipy.signal.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]
assert float(torchmetrics.MeanMetric()(2.0)) == 2
"""


def test_libraries_are_imported_without_what_they_do_not_need():
    subprocess.run([sys.executable, "-W", "error", "-c", CHECK], check=True)


def test_what_is_replaced_is_what_they_import():
    """Otherwise a line of these tables has nothing left to save."""
    for library, (module, _) in PASSING.items():
        (folder,) = find_spec(library).submodule_search_locations
        assert any(f"import {module}\n" in file.read_text() for file in Path(folder).rglob("*.py"))
    for module, constant in UNWANTED.items():
        assert constant in vars(import_module(module))


def test_the_package_itself_imports_nothing():
    check = "import sys, segsweep; assert segsweep.__version__; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_stable_names_are_found_where_they_live():
    for name in segsweep.__all__:
        assert vars(segsweep).get(name) or getattr(segsweep, name).__name__ == name
    assert set(segsweep.__all__) <= set(dir(segsweep))
    assert not hasattr(segsweep, "nothing")
