"""Seconds a step that finished runs took, to stand for runs of the same network, crop and batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segsweep.errors import DamagedFileError
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.records import ENVIRONMENT, read_record

PARTS = ("backbone", "head", "num_classes", "size", "batch_size")
SETTINGS = ("trainer.precision", "trainer.accumulate_grad_batches", "trainer.freeze")
NO_COST = ("backbone.pretrained", "backbone.weights")


@dataclass(frozen=True)
class Pace:
    """Device seconds of a step, validation included, the median of runs on one kind of device."""

    seconds: float
    device: str


def paces(runs_dir: Path) -> dict[str, Pace]:
    """The pace of each kind of run that is done in a folder, as the newest one's device has it."""
    found: dict[str, list[Pace]] = {}
    for run in all_runs(runs_dir):
        status = run.status()
        if status["state"] == "done" and status.get("train_seconds") and status["step"]:
            found.setdefault(kind(run.plan["identity"]), []).append(_pace(run, status))
    return {key: _typical(some) for key, some in found.items()}


def kind(identity: Mapping[str, Any]) -> str:
    """Equal for runs whose steps take equally long on one device."""
    kept = {
        key: value
        for key, value in identity.items()
        if (key.split(".")[0] in PARTS or key in SETTINGS) and key not in NO_COST
    }
    return repr(sorted(kept.items()))


def _pace(run: RunFolder, status: Mapping[str, Any]) -> Pace:
    try:
        environment = read_record(run.path / "environment.json", ENVIRONMENT, "it is written anew") or {}
    except DamagedFileError:
        environment = {}
    device = (environment.get("gpus") or ["a CPU"])[0]
    return Pace(environment.get("ranks", 1) * status["train_seconds"] / status["step"], device)


def _typical(some: list[Pace]) -> Pace:
    device = some[-1].device
    return Pace(median(pace.seconds for pace in some if pace.device == device), device)
