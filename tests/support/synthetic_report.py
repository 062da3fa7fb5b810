"""A report's dict with made-up numbers, of any size: what the page is drawn from in tests and benchmarks."""

import base64
import io
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image

HEADS = (("none", "–"), ("aspp", "[6,12,18]"), ("aspp", "[1,6,12,18,24]"), ("ksac", "[6,12,18]"))
CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"
)  # fmt: skip
STRATEGIES = ("single", "ms_flip")


def synthetic(
    seeds: int = 3, learning_rates: int = 1, classes: Sequence[str] = CLASSES, pictures: bool = True
) -> dict[str, Any]:
    """A sweep of four heads × learning rates × seeds; the last configuration was interrupted."""
    random = np.random.default_rng(0)
    rows, runs = [], {}
    levels = list(product(HEADS, np.round(np.geomspace(0.001, 0.1, learning_rates), 6)))
    for at, ((head, rates), lr) in enumerate(levels):
        axes = {"head": head, "head.rates": rates} | ({"optimizer.lr": str(lr)} if learning_rates > 1 else {})
        row = _row(f"r{at}", axes, seeds, at, len(levels), classes, random)
        rows.append(row)
        for seed, id in enumerate(row["runs"]):
            runs[id] = _run(row, seed, random)
    return {
        "title": "CamVid: which head",
        "made": "2026-11-27",
        "segsweep": "0.1.0",
        "command": "segsweep report sweep=heads",
        "sentences": [
            "aspp [6,12,18] beats none by 1.6 points under single (1.1 to 2.1 over images) and 1.7 under "
            "ms_flip (1.2 to 2.2); 3 seeds: too few for a verdict over seeds (8 would do).",
            "ksac [6,12,18] and none cannot be told apart: +0.4 points (-0.1 to 0.9 over images).",
        ],
        "notes": ["Intervals of 95 % over 233 images (BCa)."],
        "columns": [*rows[0]["axes"]],
        "strategies": [*STRATEGIES],
        "baseline": "r0",
        "protocols": [
            {
                "id": "p0",
                "text": "camvid test, 233 images of 480x360, list 0e16de8062fab588, last weights",
                "card": {
                    "dataset": "camvid",
                    "split": "test",
                    "images": 233,
                    "boundary": "2 % of the diagonal",
                },
                "classes": [*classes],
                "palette": [[int(v) for v in random.integers(0, 255, 3)] for _ in classes],
                "images": 233,
                "groups": {"0001TP": 62, "Seq05VD": 171},
                "unit": "images",
                "caveat": "conditional on these 2 drives",
            }
        ],
        "rows": rows,
        "runs": runs,
        "timed": "median of inference on an image of 480x360, batch 1, float32; CPU, threads: 2, torch 2.12",
        "effects": _effects(),
        "paper": {
            "title": "KSAC, table 2",
            "heading": "KSAC, table 2: published on voc val, measured on camvid test.",
            "notes": ["aspp: trained for fewer steps."],
            "columns": ["head", "published", "ours", "difference"],
            "rows": [
                {"head": "aspp", "published": "77.3", "ours": "55.7", "difference": "−21.6"},
                {"head": "ksac", "published": "78.1", "ours": "–", "difference": "–"},
            ],
        },
        "gallery": _gallery(random) if pictures else [],
    }


def _row(
    id: str, axes: dict[str, str], seeds: int, at: int, rows: int, classes: Sequence[str], random: Any
) -> dict[str, Any]:
    done = at < rows - 1 or rows == 1
    runs = [f"{at:05x}{seed:02x}{'c0de5'}" for seed in range(seeds)]
    settings = {f"trainer.option_{n}": n for n in range(50)} | axes | {"backbone.name": "mobilenetv2_100"}
    return {
        "id": id,
        "protocol": "p0" if done else None,
        "label": " ".join(value for value in axes.values() if value != "–"),
        "axes": axes,
        "settings": settings,
        "state": "done" if done else "interrupted",
        "why": None if done else "stopped at step 400 of 600",
        "command": None if done else f"segsweep train -m sweep=heads {_overrides(axes)}",
        "params": 2_000_000 + 300_000 * (at % 7) + 1000 * at,
        "macs": 3.1e9 + 2e8 * (at % 7),
        "latency_ms": 38.0 + 4.5 * (at % 7),
        "runs": runs,
        "cells": {name: _cell(runs, at, name, classes, random) for name in STRATEGIES} if done else {},
    }  # fmt: skip


def _overrides(axes: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in axes.items())


def _cell(runs: Sequence[str], at: int, strategy: str, classes: Sequence[str], random: Any) -> dict[str, Any]:
    middle = 0.54 + 0.006 * (at % 4) + 0.012 * (strategy == "ms_flip")
    seeds = [float(middle + random.normal(0, 0.004)) for _ in runs]
    value = float(np.mean(seeds))
    per_class = [float(min(0.97, max(0.03, value + random.normal(0, 0.25)))) for _ in classes]
    return {
        "miou": _interval(value, 0.012),
        **{name: _interval(value + shift, 0.01) for name, shift in FIGURES.items()},
        "std": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
        "seeds": [{"run": run, "seed": str(n), "value": seeds[n]} for n, run in enumerate(runs)],
        "letters": "ab"[at % 4 > 1] if at % 4 != 1 else "ab",
        "best": at % 4 > 0,
        "bold": at % 4 > 0,
        "complete": 1.0,
        "difference": _difference(0.006 * (at % 4)) if at else None,
        "groups": {"unit": "blocks", "low": value - 0.02, "high": value + 0.02},
        "per_class": [{"name": n, **_interval(v, 0.03)} for n, v in zip(classes, per_class, strict=True)],
        "confusion": _confusion(per_class, random),
        "sizes": [
            {"name": size, **_interval(v, 0.03)}
            for size, v in (("small", 0.21), ("medium", 0.45 + 0.01 * (at % 4)), ("large", 0.72))
        ],
    }  # fmt: skip


FIGURES = {"pixel_accuracy": 0.32, "fwiou": 0.23, "boundary_iou": -0.14}


def _interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def _difference(value: float) -> dict[str, Any]:
    few = "3 seeds: too few for a verdict over seeds; 6 would do"
    return {**_interval(value, 0.005), "p": 0.001, "p_holm": 0.004, "smallest": 0.007, "verdict": few}


def _confusion(recall: Sequence[float], random: Any) -> list[list[int]]:
    counts = random.dirichlet(np.full(len(recall), 0.3), len(recall))
    counts = counts * (1 - np.array(recall))[:, None] + np.diag(recall)
    return [[int(1e7 * share) for share in row] for row in counts]


def _run(row: dict[str, Any], seed: int, random: Any) -> dict[str, Any]:
    done = row["state"] == "done"
    card = {"checkpoint": {"which": "last", "sha256": f"{seed:016x}"}}
    steps = range(10, 610, 10)
    return {
        "row": row["id"],
        "seed": str(seed),
        "state": row["state"],
        "error": None,
        "command": f"segsweep train {_overrides(row['axes'])} seed={seed}",
        "differs": row["axes"] | {"seed": seed},
        "settings": {"seed": seed},
        "card": {name: {"strategy": {"name": name}, **card} for name in STRATEGIES} if done else {},
        "commit": "a2dea9e" + "0" * 33,
        "environment": {
            "python": "3.12.3",
            "packages": {"torch": "2.11.0"},
            "gpus": ["NVIDIA H200"],
            "cuda": "13.0",
        },
        "data": {"camvid/test": "0e16de8062fab588", "camvid/train": "1b2f3c4d5e6f7081"},
        "seconds": 196.6 + seed,
        "starts": 2,
        "curves": {
            "loss": [[step, float(1.5 / (1 + step / 60) + random.normal(0.2, 0.03))] for step in steps],
            "val_miou": [[step, float(0.62 * step / (step + 80))] for step in range(60, 660, 60)],
        },
    }


def _effects() -> list[dict[str, Any]]:
    single = {"protocol": "p0", "strategy": "single", "missing": []}
    return [
        {**single, "factor": "head", "from": "none", "to": "aspp", "with": None, **_interval(0.0164, 0.005)},
        {**single, "factor": "head", "from": "none", "to": "ksac", "with": None, **_interval(0.012, 0.007)},
        {**single, "factor": "head", "from": "none", "to": "aspp", "with": "optimizer.lr",
         **_interval(0.001, 0.004), "missing": ["head=ksac optimizer.lr=0.1"]},
    ]  # fmt: skip


def _gallery(random: Any) -> list[dict[str, Any]]:
    titles = ("image", "truth", "none", "aspp [6,12,18]", "disagree")
    return [
        {
            "image": f"0001TP_{n:06d}",
            "why": "the heads differ most",
            "tiles": [_tile(t, random) for t in titles],
        }
        for n in range(3)
    ]


def _tile(title: str, random: Any) -> dict[str, str]:
    pixels = random.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(file, "JPEG", quality=60)
    return {"title": title, "src": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"}
