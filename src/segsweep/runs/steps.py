"""How many steps of a run are done, and how long the others will take."""

import math
import time
from collections.abc import Mapping
from typing import Any

from segsweep.runs.folder import RunFolder

Status = Mapping[str, Any]


def max_steps(run: RunFolder) -> int | None:
    """Optimizer steps of the whole training; None for a run whose weights were trained elsewhere."""
    steps: int | None = run.plan["identity"].get("trainer.max_steps")
    return None if "adopted" in run.plan else steps


def steps_done(run: RunFolder, status: Status) -> tuple[int, int | None]:
    """Steps done and in all; images while the run is evaluated, if it says how many."""
    if (testing := status.get("testing")) and status["state"] == "done":
        return testing["done"], testing["images"]
    return status["step"], max_steps(run)


def seconds_left(status: Status) -> float | None:
    """Seconds of training that a running run still needed when it last said so, less those passed since."""
    left = status.get("seconds_left")
    if status["state"] != "running" or left is None or not math.isfinite(left):
        return None
    passed: float = time.time() - status.get("updated", time.time())
    return max(0.0, float(left) - passed)


def seconds_until_idle(status: Status) -> float | None:
    """Seconds until a run at work has trained, or is evaluated."""
    testing = status.get("testing") if status["state"] == "done" else None
    return testing["seconds_left"] if testing else seconds_left(status)
