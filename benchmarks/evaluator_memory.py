"""How much memory a test of all four strategies takes, with 150 classes and one image.

    python -m benchmarks.evaluator_memory [--sizes 512x1024 1024x2048]

The growth of the largest resident size, in a process of its own for each size, with one thread. The network
is a single convolution of stride 16, so that what is measured is what comes after it.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from benchmarks.evaluator import ALL
from benchmarks.report import ROOT, parser, report
from segsweep.data.sample import Sample
from segsweep.evaluation.evaluate import evaluate

CLASSES, STRIDE = 150, 16


class OneConvolution(nn.Module):
    """Patches of 16×16 pixels, each classified by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, CLASSES, STRIDE, STRIDE)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(image / 255)


def alone(height: int, width: int) -> None:
    """Print by how many MiB this process grows, and the seconds."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    blocks = rng.integers(0, CLASSES, (height // 32, width // 32), dtype=np.uint8)
    samples = [Sample(image, blocks.repeat(32, 0).repeat(32, 1), "image")]
    before, start = largest_size(), time.perf_counter()
    evaluate(lambda _: OneConvolution(), samples, ALL, CLASSES)
    print(largest_size() - before, time.perf_counter() - start)


def largest_size() -> float:
    """The largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    options = parser(__doc__, "evaluator_memory")
    options.add_argument("--sizes", nargs="+", default=["512x1024", "1024x2048"], help="HxW, multiples of 32")
    options.add_argument("--alone", action="store_true", help="measure the one size in this process")
    asked = options.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in asked.sizes]
    if asked.alone:
        alone(*sizes[0])
        return
    rows = []
    for height, width in sizes:
        command = [
            sys.executable,
            "-m",
            "benchmarks.evaluator_memory",
            "--alone",
            "--sizes",
            f"{height}x{width}",
        ]
        printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        grown, seconds = map(float, printed.split())
        whole = CLASSES * height * width * 4 / 2**20
        rows.append(
            {
                "image": f"{height}×{width}",
                "scores of one strategy at the image's size, MiB": whole,
                "growth of the process, MiB": grown,
                "seconds": seconds,
            }
        )
    report(asked, {f"memory of a test of {len(ALL)} strategies, {CLASSES} classes": rows})


if __name__ == "__main__":
    main()
