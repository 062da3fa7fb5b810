"""A run of eight steps, tested with two strategies, its predictions kept."""

import pytest

from segsweep.inference.load import load
from segsweep.inference.trained import Trained
from segsweep.runs.folder import RunFolder
from tests.support.inside import planned, run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> RunFolder:
    """A finished run; read it only."""
    folder = planned(
        "head=ksac", "head.rates=[1,2]", "head.width=8", "head.aux=[2]",
        "trainer.max_steps=8", "trainer.val_every=8", "test=[single,flip]",
        "predictions=png", "dataset.test_images=6", "num_classes=4",
        f"runs_dir={tmp_path_factory.mktemp('runs')}",
    )  # fmt: skip
    run(folder)
    return folder


@pytest.fixture(scope="session")
def network(trained_run) -> Trained:
    """The run's network, loaded."""
    return load(trained_run.path, "cpu")
