"""KSAC's shared kernel on a GPU against one and R dilated convolutions.

    python -m benchmarks.gpu_op [--channels 96 2048] [--maps 33x33] [--rates 5] [--batch 16]
    python -m benchmarks.gpu_op --device cpu --quick      # a rehearsal with tiny shapes

Everything is convolution, BatchNorm and ReLU, to 256 channels, in bf16 and channels last: one branch at rate
6, R branches and their sum (impl=branches), and one product for all R (impl=shared). Other numbers of rates
than the first are measured at the first channels and map only, since each compiles kernels of its own. A
training step is a forward and a backward pass, to input and parameters. On a GPU times are those of a CUDA
graph (triton.testing.do_bench_cudagraph), thus of the kernels; the ratio `eager` is one of calls from Python.
Errors are relative to branches in float32. Wanted, shared / one: at most 1.15 in inference (1.3 at 320
channels), and in training 1.2 at 2048 channels, 1.3 at 960, 1.6 at 320; nowhere more memory than branches.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

from benchmarks.report import Row, keep, parser, report
from benchmarks.timing import elapsed, peak_mib
from segsweep.networks.blocks import conv_bn_relu
from segsweep.networks.shared_kernel import SharedAtrousConv

RATES = (1, 6, 12, 18, 24, 30, 36, 42)  # the first R of these
WIDTH = 256


def networks(channels: int, rates: int, device: str) -> dict[str, nn.Module]:
    branches = SharedAtrousConv(channels, WIDTH, RATES[:rates], "sum", "branches")
    shared = deepcopy(branches)
    shared.impl = "shared"
    found = {"one": conv_bn_relu(channels, WIDTH, 3, 6), "branches": branches, "shared": shared}
    return {name: network.to(device, memory_format=torch.channels_last) for name, network in found.items()}


def forward(network: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.dtype == torch.bfloat16):
        found = network(x)
    return found if isinstance(found, Tensor) else found[0]


def infer(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return forward(network.eval(), x)


def train(network: nn.Module, x: Tensor, gradient: Tensor) -> None:
    network.zero_grad()
    forward(network.train(), x.detach().requires_grad_()).backward(gradient)


def milliseconds(call: Callable[[], object], device: str, duration: float) -> dict[str, float]:
    """Median times of a call, in a CUDA graph and from Python."""
    call()  # compiles, and chooses algorithms
    if not device.startswith("cuda"):
        return {"graph": 1000 * elapsed(call)}
    from triton.testing import do_bench, do_bench_cudagraph

    return {
        "graph": float(do_bench_cudagraph(call, rep=duration, return_mode="median")),
        "eager": float(do_bench(call, warmup=duration / 4, rep=duration, return_mode="median")),
    }


def measure(options: Namespace, channels: int, size: tuple[int, int], rates: int) -> tuple[Row, Row]:
    """Rows of inference and of training."""
    x, gradient = (
        torch.randn(options.batch, count, *size, device=options.device)
        .to(torch.bfloat16, memory_format=torch.channels_last)
        for count in (channels, WIDTH)
    )  # fmt: skip
    found = networks(channels, rates, options.device)
    exact = infer(found["branches"], x.float())
    errors = {
        f"error of {way}": float((infer(found[way], x) - exact).norm() / exact.norm())
        for way in ("branches", "shared")
    }
    rows = []
    for phase in (infer, partial(train, gradient=gradient)):
        calls = {name: partial(phase, network, x) for name, network in found.items()}
        times = {name: milliseconds(call, options.device, options.duration) for name, call in calls.items()}
        row: Row = {
            "C": channels,
            "map": f"{size[0]}×{size[1]}",
            "R": rates,
            "one (ms)": times["one"]["graph"],
        }
        for way, reference in (("branches", "one"), ("shared", "one"), ("shared", "branches")):
            row[f"{way} / {reference}"] = times[way]["graph"] / times[reference]["graph"]
        if "eager" in times["one"]:
            row["shared / one, eager"] = times["shared"]["eager"] / times["one"]["eager"]
        for way in ("branches", "shared"):
            row[f"{way} (MiB)"] = peak_mib(calls[way], options.device)
        rows.append(row)
    rows[0] |= errors
    return rows[0], rows[1]


def main() -> None:
    options = parser(__doc__, "gpu_op")
    options.add_argument("--device", default="cuda", help="cuda or cpu")
    options.add_argument("--duration", type=float, default=10, help="ms of one measurement")
    options.add_argument("--channels", type=int, nargs="*", default=[320, 96, 960, 2048])
    options.add_argument("--maps", nargs="*", default=["33x33", "65x65", "30x40"])
    options.add_argument(
        "--rates", type=int, nargs="*", default=[5, 1, 2, 3, 4, 6, 7, 8], help="numbers of rates"
    )
    options.add_argument("--batch", type=int, default=16)
    options.add_argument(
        "--limit", type=float, default=70, help="seconds after which nothing more is measured"
    )
    options.add_argument("--quick", action="store_true", help="tiny shapes, to rehearse")
    asked = options.parse_args()
    if asked.quick:
        asked.channels, asked.maps, asked.rates, asked.batch = [8], ["5x7"], [2, 1], 1
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = (
        False  # errors are against float32
    )
    sizes = [tuple(map(int, text.split("x"))) for text in asked.maps]
    cases = [*product(sizes, asked.channels, asked.rates[:1])]
    cases += product(sizes[:1], asked.channels[:1], asked.rates[1:])
    rows: list[tuple[Row, Row]] = []
    end = time.monotonic() + asked.limit
    for size, channels, rates in cases:
        if not rows or time.monotonic() < end:
            rows.append(measure(asked, channels, size, rates))
            keep(asked, tables(asked, rows))
    report(asked, tables(asked, rows))


def tables(asked: Namespace, rows: Sequence[tuple[Row, Row]]) -> dict[str, Sequence[Row]]:
    title = f"{WIDTH} channels out, batch {asked.batch}, bf16, channels last, {asked.device}"
    names = ("inference", "training step")
    return {f"{n}, {title}": found for n, found in zip(names, zip(*rows, strict=True), strict=True)}


if __name__ == "__main__":
    main()
