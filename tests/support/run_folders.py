"""Run folders with tests and counts, made up: thousands a minute, without composing or training anything."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segsweep.evaluation.counts import ROWS
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from segsweep.statistics.figures import FIGURES, class_accuracy, class_boundary_iou, iou

CLASSES = ("ground", "tree", "car", "pole")
CARD = {
    "dataset": "shapes", "split": "test", "split_hash": "0123", "images": 30, "image_sizes": ["48x48"],
    "label_sizes": ["48x48"], "absent_classes": "absent: left out", "num_classes": len(CLASSES),
    "checkpoint": {"which": "last", "step": 4, "sha256": "4567"}, "precision": "float32",
}  # fmt: skip
ENVIRONMENT = {"python": "3.11.2", "packages": {"torch": "2.12.1"}, "git_commit": "c0ffee", "cpus": 2}


def write_run(
    runs_dir: Path,
    settings: Mapping[str, Any],
    tests: Mapping[str, float] | None = None,
    state: str = "done",
    card: Mapping[str, Any] | None = None,
    images: int = 30,
    **status: Any,
) -> RunFolder:
    """Write a run and its tests.

    Args:
        runs_dir: where.
        settings: options and choices of groups (`head`, `dataset`), as overrides say them.
        tests: the share of right pixels by the test's name: the higher, the better the run.
        state, status: of status.json.
        card: what its protocol cards say otherwise than `CARD`.
        images: how many it was tested on.
    """
    choices = {"head": "none", "dataset": "shapes", "backbone": "resnet18"}
    choices |= {key: str(value) for key, value in settings.items() if key in choices}
    options = {key: value for key, value in settings.items() if key not in choices}
    identity = {"num_classes": len(CLASSES), "seed": 0, "size": [48, 48], "trainer.max_steps": 4, **options}
    id = hashlib.sha256(json.dumps([choices, identity]).encode()).hexdigest()[:12]
    run = RunFolder(runs_dir / id)
    run.path.mkdir(parents=True)
    overrides = [f"{key}={str(value).replace(' ', '')}" for key, value in settings.items()]
    plan = {"id": id, "identity": identity, "choices": choices, "overrides": overrides}
    write_json(run.path / "status.json", {"state": state, "step": 4, "params": 1000, **status})
    write_json(run.path / "environment.json", ENVIRONMENT)
    (run.path / "metrics.csv").write_text("step,epoch,loss,val_miou\n1,0.1,2.0,\n2,0.2,1.5,\n4,0.4,1.0,0.5\n")
    for name, right in (tests or {}).items():
        strategy = {"name": name.split("-")[0]}
        own = {**CARD, "images": images, "strategy": strategy, **(card or {})}
        write_test(run.tests / name, right, images, own, int(identity["seed"]))
    write_json(run.path / "plan.json", plan)  # the last: it makes the folder a run
    return run


def write_test(folder: Path, right: float, images: int, card: Mapping[str, Any], seed: int) -> None:
    """Write metrics.json, protocol.json and counts.npz; a pixel that is wrong is taken for the next class."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)  # the truth is the same for all runs
    true = random.integers(20, 400, size=(images, len(CLASSES)))
    hard = np.clip(right + random.normal(0, 0.08, size=true.shape), 0.02, 0.98)
    tp = np.random.default_rng([seed, int(1e6 * right)]).binomial(true, hard)
    wrong = true - tp
    counts = np.stack([tp, np.roll(wrong, 1, axis=1), wrong] * 2, axis=1)  # the boundary as all pixels
    confusion = np.diag(tp.sum(0)) + np.roll(np.diag(wrong.sum(0)), 1, axis=1)
    arrays = {name: counts[:, index] for index, name in enumerate(ROWS)}
    ids = np.array([f"image{number:04d}" for number in range(images)])
    sizes = np.full((images, 2), 48)
    np.savez(folder / "counts.npz", ids=ids, sizes=sizes, confusion=confusion, **arrays)
    totals = counts.sum(0)
    per_class = zip(CLASSES, iou(totals), class_boundary_iou(totals), class_accuracy(totals), strict=True)
    metrics = {
        **{name: float(figure(totals)) for name, figure in FIGURES.items()},
        "per_class": {n: {"iou": i, "boundary_iou": b, "accuracy": a} for n, i, b, a in per_class},
        "absent": [],
        "images": images,
    }
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "protocol.json", card)


def write_sweep(
    runs_dir: Path, configurations: int, seeds: Sequence[int], tests: Sequence[str] = ("single",)
) -> list[RunFolder]:
    """Write a sweep over heads and learning rates, the better the later: as many runs as one asks for."""
    heads = ("none", "aspp", "ksac")
    found = []
    for number in range(configurations):
        rate = round(0.001 * (1 + number // len(heads)), 6)
        settings = {"head": heads[number % len(heads)], "optimizer.lr": rate}
        right = 0.6 + 0.3 * number / configurations
        found += [
            write_run(runs_dir, {**settings, "seed": seed}, {name: right for name in tests}) for seed in seeds
        ]
    return found
