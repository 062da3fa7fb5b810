"""Runs of eight steps with the papers' heads, for figures and galleries."""

import pytest

from segsweep.runs.folder import RunFolder
from tests.support.inside import planned, run

HEADS = {
    "ksac": ("head=ksac", "head.rates=[1,3]", "head.width=30"),
    "aspp": ("head=aspp", "head.rates=[1,2]", "head.width=30"),
    "dual_aspp": ("head=dual_aspp", "head.width=16"),
}


@pytest.fixture(scope="session")
def heads(tmp_path_factory) -> dict[str, RunFolder]:
    """A run for each of `HEADS`, tested on six images."""
    place = tmp_path_factory.mktemp("heads")
    steps = ("trainer.max_steps=8", "trainer.val_every=8", "test=[single]", "dataset.test_images=6")
    return {name: trained(*HEADS[name], *steps, f"runs_dir={place}") for name in HEADS}


def trained(*overrides: str) -> RunFolder:
    folder = planned(*overrides)
    run(folder)
    return folder
