"""A run's environment: versions, code and hardware, for environment.json."""

import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from segsweep.runs.contents import Environment

PACKAGES = (
    "segsweep", "torch", "torchvision", "pytorch-lightning", "timm", "torchmetrics", "albumentations",
    "opencv-python-headless", "hydra-core", "omegaconf", "numpy", "wandb",
)  # fmt: skip


def describe(world: int = 1) -> Environment:
    """Return the environment of this process; `world` is the number of ranks."""
    return Environment(
        python=sys.version.split()[0],
        packages={name: _version(name) for name in PACKAGES},
        git_commit=_git_commit(),
        platform=platform.platform(),
        host=socket.gethostname(),
        cpus=os.cpu_count(),
        threads=torch.get_num_threads(),
        ranks=world,
        loss_over="step",
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        cuda=torch.version.cuda,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the commit of this code, with a mark if it was changed; None outside a checkout."""
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


def changes(before: Environment, now: Environment, micro_batches: int = 1) -> list[str]:
    """Return the differences that may change a run's bits; `micro_batches` are those of a step."""
    flat = [
        {
            **one.packages,
            "python": one.python,
            "git_commit": one.git_commit,
            "gpus": list(one.gpus),
            "threads": one.threads,
            "ranks": one.ranks,
            **({"loss averaged over": one.loss_over} if micro_batches > 1 else {}),
        }
        for one in (before, now)
    ]
    keys = sorted(flat[0].keys() | flat[1].keys())
    return [
        f"{key} {flat[0].get(key)} → {flat[1].get(key)}"
        for key in keys
        if flat[0].get(key) != flat[1].get(key)
    ]
