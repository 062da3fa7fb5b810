"""What testing costs beyond its forward passes.

    python benchmarks/evaluator.py [--device cuda] [--images 3] [--rounds 3]

(a) single, flip, ms and ms_flip in one pass against ms_flip alone: at most 1.05;
(b) counting (confusion, boundary bands, sizes of objects) as a share of a pass of `single`: at most 2 %, and
    beside it choosing the largest score. The two passes of (a) alternate, so that a busy machine slows both;
    figures are medians over the rounds.
"""

import argparse
import time
from statistics import median

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional as F

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

    def forward(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        logits = self.classifier(self.encoder(image.float() / 255)[-1])
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)


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
    import segsweep.evaluation.evaluate as module

    update, sizes, largest = Counts.update, module.object_sizes, module.largest
    counting, sizing, choosing = Stopwatch(update), Stopwatch(sizes), Stopwatch(largest)
    Counts.update = lambda self, *arguments: counting(self, *arguments)
    module.object_sizes, module.largest = sizing, choosing
    try:
        whole = seconds(network, scenes, ALL[:1], device)
    finally:
        Counts.update, module.object_sizes, module.largest = update, sizes, largest
    return whole, counting.seconds + sizing.seconds, choosing.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    network, scenes = Small(), Scenes(args.images)
    seconds(network, scenes, ALL, args.device)  # first calls choose kernels and allocate
    nested, dearest, parts = [], [], []
    for _ in range(args.rounds):
        nested.append(seconds(network, scenes, ALL, args.device))
        dearest.append(seconds(network, scenes, [MS_FLIP], args.device))
        parts += [shares(network, scenes, args.device) for _ in range(3)]
    ms = 1000 / args.images
    ratio = median(a / b for a, b in zip(nested, dearest, strict=True))
    whole = median(part[0] for part in parts)
    print(f"{args.device}, {args.images} images of {SIZE[1]}x{SIZE[0]}, {CLASSES} classes")
    print(f"{'':36}{'ms/image':>9}{'':>4}{'ratio':>8}  target")
    print(f"{'ms_flip alone':36}{median(dearest) * ms:9.1f}")
    print(f"{'all four in one pass':36}{median(nested) * ms:9.1f}{'':4}{ratio:8.3f}  <= 1.05")
    print(f"{'single':36}{whole * ms:9.2f}")
    for name, index, target in (("  counting, bands and sizes", 1, "<= 2 %"), ("  largest score", 2, "")):
        share = median(part[index] / part[0] for part in parts)
        print(f"{name:36}{median(part[index] for part in parts) * ms:9.2f}{'':4}{share:8.2%}  {target}")


if __name__ == "__main__":
    main()
