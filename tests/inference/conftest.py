"""A run of eight steps, tested with two strategies, its predictions kept."""

import shutil

import pytest

from segsweep.data.sets.shapes_draw import CLASSES
from segsweep.evaluation.counts import Counts
from segsweep.inference.load import load
from segsweep.inference.trained import Trained
from segsweep.runs.folder import RunFolder
from tests.support.inside import planned, run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> RunFolder:
    """A finished run; read it only."""
    folder = planned(
        # An encoder of few layers: what takes time is recording and exporting them one by one.
        "backbone.name=test_byobnet", "head=ksac", "head.rates=[1,2]", "head.width=8", "head.aux=[2]",
        "trainer.max_steps=8", "trainer.val_every=8", "test=[single,flip]",
        "predictions=png", "dataset.test_images=6", "num_classes=4",
        f"runs_dir={tmp_path_factory.mktemp('runs')}",
    )  # fmt: skip
    run(folder)
    return folder


@pytest.fixture(scope="session")
def grouped_run(trained_run, tmp_path_factory) -> RunFolder:
    """The same run, with two drives of three frames each in its tests' counts; read it only."""
    copied = RunFolder(tmp_path_factory.mktemp("grouped") / trained_run.id)
    shutil.copytree(trained_run.path, copied.path)
    for test in ("single", "flip"):
        counts = Counts.load(copied.tests / test)
        first = counts.ids[:3]
        counts.group("drive", lambda id, first=first: "a" if id in first else "b")
        counts.save(copied.tests / test, CLASSES[:4])
    return copied


@pytest.fixture(scope="session")
def network(trained_run) -> Trained:
    """The run's network, loaded."""
    return load(trained_run.path, "cpu")
