"""KSAC's operation against plain convolutions: R atrous rates of one shared 3×3 kernel.

    python -m benchmarks.op [--rates 1 2 5 8] [--channels 96 2048] [--maps 33x33 23x30] [--batch 1]

Timed in turn are one 3×3 branch (convolution, BatchNorm, ReLU: the price that sharing should come near), and
Σ ReLU(BN_r(conv(x, K, rate r))) in three ways: a convolution for each rate (head.impl=branches), one product
for all (shared), and whichever the rule chooses (auto). With --bare all without BatchNorm, ReLU and sum. A
training step is a forward and a backward pass to input and parameters. Memory is what tensors of a training
step hold at once at most.
Wanted on a CPU at 2048 channels, 33×33, five rates: at most 1.5 times one branch (1.6 in training); half of
what branches take at 320 channels; nowhere more than 3 % slower than branches, nor more memory.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.report import Row, parser, report
from benchmarks.timing import interleaved, peak_mib
from segsweep.networks.blocks import conv_bn_relu
from segsweep.networks.shared_kernel import SharedAtrousConv, branches, shared_atrous_conv2d

RATES = (1, 6, 12, 18, 24, 30, 36, 42)  # the first R of these
PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16}
COLUMNS = (("branches", "one"), ("shared", "one"), ("auto", "one"), ("auto", "branches"))

Way = Callable[[Tensor], Sequence[Tensor]]


class Bare(nn.Module):
    """R maps without BatchNorm and ReLU."""

    def __init__(self, channels: int, width: int, convolve: Callable[..., Sequence[Tensor]]) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(width, channels, 3, 3))
        self.convolve = convolve

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        return self.convolve(x, self.kernel)


def bare_ways(channels: int, width: int, rates: Sequence[int]) -> dict[str, nn.Module]:
    bare = partial(Bare, channels, width)
    return {
        "one": bare(lambda x, kernel: [F.conv2d(x, kernel, padding=1)]),
        "branches": bare(partial(branches, rates=rates)),
        "shared": bare(partial(shared_atrous_conv2d, rates=rates)),
    }


def ways(channels: int, width: int, rates: Sequence[int]) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {"one": conv_bn_relu(channels, width, 3)}
    for impl in ("branches", "shared", "auto"):
        found[impl] = SharedAtrousConv(channels, width, rates, "sum", impl)
    return found


def inference(network: nn.Module, x: Tensor) -> None:
    network.eval()
    with torch.inference_mode():
        network(x)


def training(network: nn.Module, x: Tensor) -> None:
    """Forward and backward, to the input too as within a network."""
    network.train()
    network.zero_grad()
    found = network(x.detach().requires_grad_())
    maps = [found] if isinstance(found, Tensor) else list(found)
    torch.autograd.backward(maps, maps)  # the maps themselves serve as their gradients


def measure(options: Namespace, channels: int, size: tuple[int, int], number: int) -> tuple[Row, Row]:
    """Rows of inference and training: a number of channels, a size of map, a number of rates."""
    kinds = {"device": options.device, "dtype": PRECISIONS[options.precision]}
    kinds["memory_format"] = torch.channels_last if options.channels_last else torch.contiguous_format
    x = torch.randn(options.batch, channels, *size).to(**kinds)
    compared = (bare_ways if options.bare else ways)(channels, options.width, RATES[:number])
    networks = {name: network.to(**kinds) for name, network in compared.items()}
    rows = []
    for phase in (inference, training):
        calls = {name: partial(phase, network, x) for name, network in networks.items()}
        times = interleaved(calls, options.device, options.seconds)
        row: Row = {"C": channels, "map": f"{size[0]}×{size[1]}", "R": number}
        row["one (ms)"] = 1000 * times.median("one")
        of = [(name, to) for name, to in COLUMNS if name in networks]
        rows.append({**row, **{f"{name} / {to}": times.ratio(name, to) for name, to in of}})
    memory = {name: peak_mib(call, options.device) for name, call in calls.items()}
    del memory["one"]
    return rows[0], {**rows[1], **{f"{name} (MiB)": size for name, size in memory.items()}}


def main() -> None:
    options = parser(__doc__, "op", seconds=0.3)
    options.add_argument("--rates", type=int, nargs="*", default=range(1, 9), help="numbers of rates")
    options.add_argument("--channels", type=int, nargs="*", default=[96, 320, 960, 2048])
    options.add_argument("--maps", nargs="*", default=["23x30", "33x33", "65x65"])
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--width", type=int, default=256, help="channels of each map that comes out")
    options.add_argument("--precision", choices=PRECISIONS, default="32")
    options.add_argument("--channels-last", action="store_true")
    options.add_argument("--bare", action="store_true", help="convolutions alone")
    asked = options.parse_args()
    torch.manual_seed(0)
    sizes = [tuple(map(int, text.split("x"))) for text in asked.maps]
    cases = product(asked.channels, sizes, asked.rates)
    rows = [measure(asked, *case) for case in cases]
    title = f"{asked.width} channels out, batch {asked.batch}, precision {asked.precision}, {asked.device}"
    title += ", channels last" * asked.channels_last + ", convolutions alone" * asked.bare
    names = ("inference", "training step")
    report(asked, {f"{n}, {title}": found for n, found in zip(names, zip(*rows, strict=True), strict=True)})


if __name__ == "__main__":
    main()
