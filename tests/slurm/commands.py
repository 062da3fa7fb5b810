"""Sweeps through the Slurm of the session, as a user starts them."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from segsweep.runs.folder import RunFolder, all_runs
from tests.slurm.cluster import Cluster
from tests.slurm.slow import LOSS, SECONDS
from tests.support.commands import TINY, command, environment

SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30")
# Each test says how long its runs are: what the command line says would hold for all of them.
SHORT = (*(o for o in TINY if not o.startswith("trainer.max_steps")), f"loss._target_={LOSS}")
ROOT = Path(__file__).parents[2]
LIMIT = 300  # seconds that anything may take
# Where the slow loss is found.
PYTHONPATH = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def start(cluster: Cluster, folder: Path, *arguments: str, slow: float = 0) -> subprocess.Popen[str]:
    """A sweep through Slurm, being waited for by its launcher; `slow` is added to each step, in seconds."""
    variables = {key: cluster.environment()[key] for key in ("SLURM_CONF", "MASTER_ADDR")}
    variables |= {SECONDS: str(slow), "PYTHONPATH": PYTHONPATH}
    return subprocess.Popen(
        command("train", "-m", *SLURM, *SHORT, *arguments),
        cwd=folder, env=environment(**variables),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for a launcher to end; all that it said."""
    try:
        said, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == status, said
    return said


def until(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a launcher waits."""
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end, "it never came to be so"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def runs(folder: Path) -> list[RunFolder]:
    """The runs of a working folder."""
    return all_runs(folder / "runs")


def recorded(folder: Path) -> int:
    """The step of a run that metrics.csv has last; 0 before there is one."""
    path = folder / "metrics.csv"
    rows = path.read_text().splitlines()[1:] if path.exists() else []
    return int(rows[-1].split(",")[0]) if rows else 0


def job_of(run: RunFolder) -> str:
    """The Slurm job that did a run."""
    return str(json.loads((run.path / "job.json").read_text())["slurm"])
