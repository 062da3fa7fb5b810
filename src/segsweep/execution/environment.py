"""What a run ran on: versions, code and hardware, for environment.json."""

import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "segsweep", "torch", "torchvision", "pytorch-lightning", "timm", "torchmetrics", "albumentations",
    "opencv-python-headless", "hydra-core", "omegaconf", "numpy", "wandb",
)  # fmt: skip


LOSS_OVER = "loss averaged over"
"""What a loss is a mean over, if a step has several micro-batches: older versions averaged each by itself."""


def describe(world: int = 1) -> dict[str, Any]:
    """The environment, and how many ranks work in it, as plain values."""
    return {
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": _git_commit(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "ranks": world,
        LOSS_OVER: "step",
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the code that runs, with a mark where it was changed; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def changes(before: dict[str, Any], now: dict[str, Any], micro_batches: int = 1) -> list[str]:
    """What differs between two descriptions that may change a run's bits, a line each.

    `micro_batches` are those of a step.
    """
    flat = [
        {
            **(d.get("packages") or {}),
            **{key: d.get(key) for key in ("python", "git_commit", "gpus", "threads")},
            "ranks": d.get("ranks", 1),
            **({LOSS_OVER: d.get(LOSS_OVER, "micro-batch")} if micro_batches > 1 else {}),
        }
        for d in (before, now)
    ]
    keys = sorted(flat[0].keys() | flat[1].keys())
    return [
        f"{key} {flat[0].get(key)} → {flat[1].get(key)}"
        for key in keys
        if flat[0].get(key) != flat[1].get(key)
    ]
