"""Frames per second of the papers' networks, beside a ResNet-18 in the same run, and what the papers print.

    python -m benchmarks.speeds [--device cuda] [--precision 32] [--scale 1]

Every network that experiments/*/table*.yaml prints with frames per second, at its table's input size (or
`--scale` times that), batch 1, from an image of bytes to logits at its size. The papers' GPUs were others:
what compares is the ratio to ResNet-18's feature maps of an image of the same size.
"""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.report import Row, parser, report
from benchmarks.timing import Spread
from segsweep.builders import build_segmenter
from segsweep.config import groups as config_files
from segsweep.networks import Encoder
from segsweep.planning.compose import compose
from segsweep.planning.experiment import Published, published_table, quoted
from segsweep.profiling.latency import PRECISIONS, Setting, measure

Size = tuple[int, int]


class ResNet18(nn.Module):
    """The feature maps of an image of bytes at output stride 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder("resnet18", output_stride=32)
        for name, value in (("mean", self.encoder.mean), ("std", self.encoder.std)):
            self.register_buffer(name, 255 * torch.tensor(value).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder((image.to(self.mean.dtype) - self.mean) / self.std)[-1]


class Printed(NamedTuple):
    """A network of a table, and its row there."""

    table: str
    row: dict[str, Any]
    size: Size
    network: nn.Module


def printed(scale: float) -> Iterator[Printed]:
    """Yield the papers' own networks that they timed."""
    experiments: dict[str, str] = {}
    for name in sorted(dict(config_files.files("experiments"))):
        if (node := published_table(name)) is not None:
            # A variation of an experiment, as with all systems, comes after it and repeats the same table.
            experiments.setdefault(node["title"], name)
    for name in experiments.values():
        table = Published.of(published_table(name))
        timed = [row for row in table.rows if "fps" in row and "run" in row and not quoted(row)]
        if not timed:
            continue
        composed = compose("profile", ["-m", f"+experiments={name}"])
        runs = dict(zip(table.members(systems=False), composed, strict=True))
        for row in timed:
            height, width = row.get("input", table.input)
            if scale != 1:
                height, width = (32 * max(2, round(side * scale / 32)) for side in (height, width))
            config = runs[table.member(row)].config
            yield Printed(table.title, row, (height, width), build_segmenter(config, load_weights=False))


def rows(asked: Namespace) -> list[Row]:
    networks = list(printed(asked.scale))
    sizes = list(dict.fromkeys(one.size for one in networks))
    layout = {"channels_last": asked.channels_last, "compile": asked.compile, "seconds": asked.seconds}
    setting = Setting(torch.device(asked.device), PRECISIONS[asked.precision], **layout)
    # ResNet-18 at each size first, then the networks: all take turns.
    everything = [*((ResNet18(), size) for size in sizes), *((one.network, one.size) for one in networks)]
    seconds = measure(everything, setting)
    found = []
    for size in sizes:
        reference = seconds[:, sizes.index(size)]
        own = {"network": "ResNet-18, encoder", "table": "", "input": f"{size[0]}×{size[1]}"}
        found.append({**own, **figures(reference, reference, None)})
        for index, one in enumerate(networks, len(sizes)):
            if one.size == size:
                words = str(one.row.get("method", one.row.get("architecture"))).replace("_", " ")
                named = {"network": words, "table": one.table, "input": own["input"]}
                found.append({**named, **figures(seconds[:, index], reference, float(one.row["fps"]))})
    return found


def figures(seconds: Any, reference: Any, fps: float | None) -> Row:
    spread = Spread.of(seconds)
    return {
        "ms": 1000 * spread.median,
        "FPS": 1 / spread.median,
        "times ResNet-18": Spread.of(seconds / reference),
        "printed FPS": fps,
    }


def main() -> None:
    options = parser(__doc__, "speeds", seconds=2)
    options.add_argument("--precision", choices=PRECISIONS, default="32")
    options.add_argument("--channels-last", action="store_true")
    options.add_argument("--compile", action="store_true")
    options.add_argument("--scale", type=float, default=1, help="of the tables' input sizes")
    asked = options.parse_args()
    layout = "channels last" if asked.channels_last else "channels first"
    report(asked, {f"precision {asked.precision}, {layout}, {asked.device}": rows(asked)})


if __name__ == "__main__":
    main()
