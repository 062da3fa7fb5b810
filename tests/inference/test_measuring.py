"""Exported files measured on CamVid's 360×480 release, in DIR/camvid: `SEGSWEEP_DATA=DIR make slow`."""

import os
from pathlib import Path

import pytest

from segsweep.commands import export, test
from segsweep.evaluation.protocol import read_test
from segsweep.planning.plan import check_member, write
from tests.support.composing import member
from tests.support.inside import run

CAMVID = Path(os.environ.get("SEGSWEEP_DATA", "data"), "camvid")


@pytest.fixture(scope="module")
def camvid_run(tmp_path_factory):
    """A run of 40 steps, tested on all test frames."""
    if not (CAMVID / "test.txt").is_file():
        pytest.skip(f"needs CamVid in {CAMVID}")
    planned = member(
        "dataset=camvid", f"dataset.root={CAMVID}", "head=ksac", "backbone=mobilenetv2", "size=[120,160]",
        "batch_size=4", "augment=none", "trainer.max_steps=40", "trainer.val_every=40", "test=[single]",
        "trainer.accelerator=cpu", f"runs_dir={tmp_path_factory.mktemp('runs')}",
    )  # fmt: skip
    check_member(planned)
    folder = write(planned)
    run(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("form", "suffix"), [("onnx", ".onnx"), ("torch_export", ".pt2")])
def test_its_miou_on_camvid_is_torchs(camvid_run, tmp_path, form, suffix):
    file = tmp_path / f"net{suffix}"
    assert export.main([str(camvid_run.path), f"format={form}", f"out={file}"]) == 0
    assert test.main([str(file), f"dataset.root={CAMVID}", "test=[single]", "trainer.accelerator=cpu"]) == 0
    found, (own, _) = read_test(tmp_path / f"net{suffix}.tests" / "single"), camvid_run.read_tests()["single"]
    assert found.metrics.images == 233
    assert abs(100 * found.metrics.miou - 100 * own.miou) < 0.01
