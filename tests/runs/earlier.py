"""Run folders that earlier versions left, with weights of the right names and shapes."""

import shutil
from pathlib import Path

import torch

from segsweep.runs.folder import RunFolder

HERE = Path(__file__).parent
VERSION_1 = HERE / "old_run" / "2902457fc167"
"""A run on Shapes: identity version 1."""
VERSION_2 = HERE / "version2_run" / "f2c635bd519b"
"""A run on `write_camvid(data/camvid, size=(48, 64))`: identity version 2, of before runs knew their data."""
CAMVID = (
    "backbone=mobilenetv3_small", "head=aspp", "head.rates=[1,2]", "head.width=8", "size=48", "batch_size=4",
    "dataset=camvid", "trainer.max_steps=4", "trainer.accelerator=cpu", "trainer.log_every=1",
    "test=[single,flip]",
)  # fmt: skip
"""What it was trained with, in a folder that holds `data`."""


def copied(run: Path, runs_dir: Path, num_classes: int) -> RunFolder:
    """A run of an earlier version, put into a folder of runs."""
    folder = runs_dir / run.name
    shutil.copytree(run, folder)
    torch.manual_seed(0)
    lines = [line.split() for line in (VERSION_1.parent / "weights.txt").read_text().splitlines()]
    state = {name: _tensor(name, num_classes, *shape) for name, *shape in lines}
    (folder / "checkpoints").mkdir()
    torch.save({"state_dict": state, "global_step": 4, "epoch": 0}, folder / "checkpoints" / "last.ckpt")
    return RunFolder(folder)


def _tensor(name: str, num_classes: int, kind: str, shape: str = "") -> torch.Tensor:
    size = [int(side) for side in shape.split("x")] if shape else []
    if "classifier.1." in name:
        size[0] = num_classes
    return torch.rand(size) if kind == "float32" else torch.ones(size, dtype=getattr(torch, kind))
