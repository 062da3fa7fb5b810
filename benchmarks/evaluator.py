"""What testing costs beyond its forward passes.

    python -m benchmarks.evaluator [--device cuda] [--images 3]

(a) single, flip, ms and ms_flip in one pass against ms_flip alone: at most 1.05;
(b) counting (confusion, boundary bands, sizes of objects) as a share of a pass of `single`: at most 2 %, for
    networks light to heavy, and beside it choosing the largest score;
(c) counting one image against torchmetrics' confusion matrix of it, which keeps neither images apart nor
    boundaries nor objects.
"""

import argparse
import time
from functools import partial

import cv2
import numpy as np
import timm
import torch
from torch import nn
from torchmetrics.classification import MulticlassConfusionMatrix

from benchmarks.networks import ENCODERS, ours
from benchmarks.report import Row, parser, report
from benchmarks.timing import Spread, interleaved
from segsweep.data.sample import Sample
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.evaluate import evaluate
from segsweep.evaluation.strategies import DEEPLAB_SCALES, Strategy

CLASSES, SIZE = 11, (360, 480)  # CamVid
MS_FLIP = Strategy(DEEPLAB_SCALES, flip=True)
ALL = (Strategy(), Strategy(flip=True), Strategy(DEEPLAB_SCALES), MS_FLIP)


class Small(nn.Module):
    """MobileNetV2 to stride 16 and a pointwise classifier."""

    def __init__(self) -> None:
        super().__init__()
        options = {"features_only": True, "pretrained": False, "output_stride": 16}
        self.encoder = timm.create_model("mobilenetv2_100", **options)
        self.classifier = nn.Conv2d(self.encoder.feature_info.channels()[-1], CLASSES, 1)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.encoder(image.float() / 255)[-1])


class Scenes:
    """Noise with labels in blocks, held in memory: reading files is not what is measured."""

    def __init__(self, images: int) -> None:
        rng = np.random.default_rng(0)
        self.samples = []
        for i in range(images):
            image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            blocks = rng.integers(0, CLASSES, (SIZE[0] // 20, SIZE[1] // 20), dtype=np.uint8)
            label = blocks.repeat(20, 0).repeat(20, 1)
            label[:10] = 255
            self.samples.append(Sample(image, label, f"scene{i}"))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class Stopwatch:
    """Adds up the seconds spent in a function while it stands in for it."""

    def __init__(self, function) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments):
        # Kernels run behind the caller: what is still under way belongs to whoever started it.
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - start
        return result


def seconds(network, scenes, strategies, device) -> float:
    start = time.perf_counter()
    evaluate(lambda _: network, scenes, strategies, CLASSES, device=device)
    return time.perf_counter() - start


def shares(network, scenes, device) -> tuple[float, float, float]:
    """Seconds of a pass of `single`, and those in it of counting and of the largest score."""
    from segsweep.evaluation import evaluate as evaluation
    from segsweep.evaluation import predictor

    update, parts, largest = Counts.update, evaluation.truth_of, predictor.largest
    counting, sharing, choosing = Stopwatch(update), Stopwatch(parts), Stopwatch(largest)
    Counts.update = lambda self, *arguments: counting(self, *arguments)
    evaluation.truth_of, predictor.largest = sharing, choosing
    try:
        whole = seconds(network, scenes, ALL[:1], device)
    finally:
        Counts.update, evaluation.truth_of, predictor.largest = update, parts, largest
    return whole, counting.seconds + sharing.seconds, choosing.seconds


def against_torchmetrics(device: str, span: float) -> list[Row]:
    """Counting one image with all its statistics against torchmetrics' confusion matrix alone."""
    rows, rng = [], np.random.default_rng(0)
    for height, width, classes in ((*SIZE, CLASSES), (1024, 2048, 19), (512, 683, 150)):
        label = rng.integers(0, classes, (height // 16, width // 16), dtype=np.uint8)
        label = np.ascontiguousarray(cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST))
        prediction = np.where(rng.random(label.shape) < 0.8, label, np.roll(label, 9, 1))
        matrix = MulticlassConfusionMatrix(classes, ignore_index=255, validate_args=False).to(device)
        tensors = [torch.from_numpy(one).long()[None].to(device) for one in (prediction, label)]
        calls = {
            "torchmetrics": partial(matrix.update, *tensors),
            "segsweep": lambda maps=(prediction, label), k=classes: Counts(k).update("", *maps),
        }
        times = interleaved(calls, device, span)
        rows.append(
            {
                "image": f"{height}×{width}",
                "classes": classes,
                "torchmetrics, confusion matrix (ms)": 1000 * times.median("torchmetrics"),
                "segsweep, all counts (ms)": 1000 * times.median("segsweep"),
                "ratio": times.ratio("segsweep", "torchmetrics"),
            }
        )
    return rows


def strategies(options: argparse.Namespace) -> list[Row]:
    network, scenes = Small(), Scenes(options.images)
    calls = {
        "all four in one pass": lambda: seconds(network, scenes, ALL, options.device),
        "ms_flip alone": lambda: seconds(network, scenes, [MS_FLIP], options.device),
    }
    times = interleaved(calls, options.device, options.seconds)
    passes = [
        {
            "strategies": name,
            "ms an image": 1000 * times.median(name) / options.images,
            "ratio": times.ratio(name, "ms_flip alone"),
            "wanted": wanted,
        }
        for name, wanted in zip(calls, ("≤ 1.05", ""), strict=True)
    ]
    return passes


def parts(options: argparse.Namespace) -> list[Row]:
    """What a pass of `single` spends on counting and on the largest score, for networks light to heavy."""
    scenes, rows = Scenes(options.images), []
    networks = {"MobileNetV2 without head": Small()}
    networks |= {f"{encoder}, KSAC": ours(encoder, "KSAC") for encoder in ENCODERS}
    for name, network in networks.items():
        found = np.array([shares(network, scenes, options.device) for _ in range(options.passes)])
        whole, counting, choosing = 1000 * np.median(found, axis=0) / options.images
        rows.append(
            {
                "network": name,
                "a pass (ms an image)": whole,
                "counting, bands and sizes (ms)": counting,
                "share in %": Spread.of(100 * found[:, 1] / found[:, 0]),
                "wanted": "≤ 2 %",
                "largest score (ms)": choosing,
            }
        )
    return rows


def main() -> None:
    options = parser(__doc__, "evaluator", seconds=5)
    options.add_argument("--images", type=int, default=3)
    options.add_argument("--passes", type=int, default=9)
    asked = options.parse_args()
    torch.manual_seed(0)
    title = f"{SIZE[0]}×{SIZE[1]}, {CLASSES} classes, {asked.device}"
    tables = {
        f"test strategies, MobileNetV2, {title}": strategies(asked),
        f"parts of a test pass, {title}": parts(asked),
        f"counting an image, {asked.device}": against_torchmetrics(asked.device, asked.seconds / 5),
    }
    report(asked, tables)


if __name__ == "__main__":
    main()
