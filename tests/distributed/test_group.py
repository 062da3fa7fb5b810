"""Commands of which torchrun started several, and tests on other devices than the run was trained on."""

import json
import subprocess
import sys

import pytest

from segsweep.runs.folder import all_runs
from tests.support.commands import TINY, environment, segsweep

TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
    "segsweep",
)


@pytest.mark.slow
def test_one_rank_plans_and_writes_and_the_others_follow(tmp_path):
    arguments = ("train", *TINY, "trainer.max_steps=1", "trainer.devices=2", "test=[single]")
    first, again = (
        subprocess.run(
            [*TORCHRUN, *arguments],
            cwd=tmp_path,
            env=environment(),
            text=True,
            capture_output=True,
            timeout=300,
        )
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    (run,) = all_runs(tmp_path / "runs")
    assert run.status().state == "done"
    assert run.strategies() == ["single"]
    assert json.loads((run.path / "environment.json").read_text())["ranks"] == 2
    assert first.stdout.count("miou") == 1, "told once"
    assert first.stderr.count(f"run {run.id} in") == 1
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("done already") == 1
    assert run.log.read_text().count("starting from random weights") == 1

    configured = (run.path / "config.yaml").read_text()
    alone = segsweep("test", run.id, "test=[flip]", cwd=tmp_path)
    assert "processes" not in alone.stderr, "by itself on one device"
    devices = ("trainer.devices=2", "trainer.accelerator=cpu")
    together = segsweep("test", run.id, "test=[ms]", *devices, cwd=tmp_path)
    assert "by 2 processes" in together.stderr
    assert (run.path / "config.yaml").read_text() == configured, "a test writes nothing of what it runs on"
    assert run.strategies() == ["flip", "ms", "single"]
