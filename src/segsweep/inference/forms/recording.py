"""Record a network's operators for images of any number and size.

What is recorded is a `Program`: the network, what it takes and what it gives as the export was asked for.

Shape letters: `B` images, `K` classes, `H W` their size.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from timm.layers import padding
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from segsweep.errors import UserError
from segsweep.inference.forms.form import DEFAULT, LABELS, Wishes
from segsweep.networks import Segmenter

T = TypeVar("T")

EXAMPLE = (2, 3, 96, 128)
"""No side is 1, which torch would take for fixed, and none is that of another."""
ODD = (2, 3, 97, 129)
"""An example whose maps have odd sides down to stride 16.

torch's compiler takes a pool that rounds up (`ceil_mode`) for one that need not if the example's sides are
even, and its code then reads beyond maps whose sides are odd.
"""
RATHER = "another format=, or another network"


class Program(nn.Module):
    """A copy of a network on the CPU, in evaluation mode: image [B, 3, H, W] → what `wishes.output` names."""

    def __init__(self, network: Segmenter, wishes: Wishes = DEFAULT) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        self.wishes = wishes
        if wishes.preprocessing == "described":
            self.network.mean.zero_()
            self.network.std.fill_(1)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [B, K, H, W], or labels uint8 [B, H, W]."""
        logits: Tensor = self.network(image)
        return logits.argmax(1).to(torch.uint8) if self.wishes.output == LABELS else logits

    def example(self, shape: Sequence[int] = EXAMPLE) -> Tensor:
        """Return images to record it with."""
        return torch.zeros(*shape, dtype=getattr(torch, self.wishes.input))


def recorded(program: Program, shape: Sequence[int] = EXAMPLE) -> ExportedProgram:
    """Return what torch records of a program on images of a shape, for any B, H and W.

    Raises:
        UserError: torch cannot record it so.
    """
    any_number = Dim.DYNAMIC
    with quiet(), sizes_of_any_rest():
        return attempt(
            lambda: torch.export.export(
                program,
                (program.example(shape),),
                dynamic_shapes=({0: any_number, 2: any_number, 3: any_number},),
                strict=False,
            )
        )


def attempt(record: Callable[[], T]) -> T:
    """Return what a recorder of torch's returns; raise UserError with the first line of what it says."""
    try:
        with torch.no_grad():
            return record()
    except UserError:
        raise
    except Exception as error:  # each of torch's recorders has its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")
        raise UserError(
            f"torch cannot record this network for images of any size ({said:.200}); use {RATHER}"
        ) from error


@contextmanager
def sizes_of_any_rest() -> Iterator[None]:
    """Make torch and timm compute the sizes of maps without a look at a division's rest.

    torch corrects the quotient of a pooled map's size that was rounded up, if there is a rest; Python's are
    rounded down. Asking whether there is one binds the program to images of which it is true. timm pads by
    `math.ceil` of a fraction, of which torch.export writes no file, and asks whether the result is negative.
    """
    from torch import _meta_registrations as shapes_of_operators  # a second

    originals = shapes_of_operators.div_rtn, padding.get_same_padding
    shapes_of_operators.div_rtn = lambda dividend, divisor: dividend // divisor
    padding.get_same_padding = same_padding  # type: ignore[assignment]
    try:
        yield
    finally:
        shapes_of_operators.div_rtn, padding.get_same_padding = originals


def same_padding(side: int, kernel: int, stride: int, rate: int) -> int:
    """Return the pixels that a side is padded with for a map of ⌈side / stride⌉, as TensorFlow's `SAME`."""
    reach = (kernel - 1) * rate + 1
    padded = ((side + stride - 1) // stride - 1) * stride + reach - side
    return padded if reach >= stride else max(padded, 0)  # the former is never negative


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's and its exporters' notes to their developers from the user."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.utils")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
