"""A network that was exported to a file, as the evaluator sees networks, and what the file says of itself.

Shape letters: `B` images, `K` classes, `H W` their size.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import segsweep
from segsweep.errors import DamagedFileError, OptionError, UserError
from segsweep.inference.description import Description
from segsweep.inference.forms.form import LABELS, Wishes
from segsweep.inference.trained import Trained
from segsweep.networks.segmenter import Network
from segsweep.runs.records import Record

DESCRIPTION, INTERFACE = "description", "interface"
"""Names under which a file holds what it is: both JSON."""
Runs = Callable[[Tensor], Tensor]
"""Image [B, 3, H, W] → logits float32 [B, K, H, W], or labels uint8 [B, H, W]."""


@dataclass(frozen=True, kw_only=True)
class Interface(Record):
    """What an exported file takes and gives."""

    format: str
    preprocessing: str
    """`inside`: normalisation is part of the file. `described`: (x − mean) / std comes first."""
    input: str
    output: str
    mean: tuple[float, ...]
    """RGB, of values 0..255."""
    std: tuple[float, ...]
    pixels: str = "float32"
    """The type of the values that it takes."""
    gives: str = "logits"
    """What it gives: `logits`, or `labels`."""
    output_stride: int | None = None
    """Of the network in the file."""
    torch: str = torch.__version__
    segsweep: str = segsweep.__version__

    @classmethod
    def between(
        cls, description: Description, format: str, wishes: Wishes, stride: int | None
    ) -> "Interface":
        """Return the interface of a described network."""
        values = "0..255" if wishes.preprocessing == "inside" else "(x − mean) / std of x in 0..255"
        logits = f"logits: float32 [batch, {description.num_classes}, height, width]"
        labels = "labels: uint8 [batch, height, width], indices of classes"
        return cls(
            format=format,
            preprocessing=wishes.preprocessing,
            input=f"image: {wishes.input} [batch, 3, height, width], RGB, {values}",
            output=labels if wishes.output == LABELS else logits,
            mean=description.mean,
            std=description.std,
            pixels=wishes.input,
            gives=wishes.output,
            output_stride=stride,
        )


def contents(description: Description, interface: Interface) -> dict[str, str]:
    """Return the metadata of a file."""
    return {DESCRIPTION: description.to_json(), INTERFACE: json.dumps(interface.plain(), ensure_ascii=False)}


class Exported(Network):
    """Calls the runtime of an exported file; logits are at the images' size."""

    def __init__(self, runs: Runs, interface: Interface, file: Path) -> None:
        super().__init__()
        self.runs, self.interface, self.file = runs, interface, file

    def logits(self, image: Tensor) -> Tensor:
        """Logits [B, K, H, W] of images [B, 3, H, W] with values 0..255."""
        return self.computed(image)

    def computed(self, image: Tensor) -> Tensor:
        """What the file gives, logits or labels [B, H, W], for images [B, 3, H, W] with values 0..255.

        Raises:
            UserError: the file does not take images of this size, or with these values.
        """
        pixels = image.float()
        if self.interface.pixels == "uint8":
            if not torch.equal(pixels, pixels.round()):
                raise UserError(
                    f"{self.file}: takes whole pixel values (input=uint8), and a scaled or padded image has "
                    "others; use test=single or flip, the run, or a file with input=float32"
                )
            pixels = pixels.to(torch.uint8)
        if self.interface.preprocessing == "described":
            mean, std = (
                torch.tensor(values, device=pixels.device).view(1, 3, 1, 1)
                for values in (self.interface.mean, self.interface.std)
            )
            pixels = (pixels - mean) / std
        try:
            return self.runs(pixels.contiguous()).to(image.device)
        except (RuntimeError, AssertionError, ValueError) as error:  # torch's guards, and what runtimes raise
            size = "×".join(map(str, image.shape[-2:]))
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"{self.file}: cannot compute an image of {size} ({said:.200}); give a larger one, or "
                "use the run"
            ) from error


def understood(path: Path, held: Mapping[str, str]) -> tuple[Description, Interface]:
    """Return what a file with the metadata `held` says of itself.

    Raises:
        DamagedFileError: it is no whole file of segsweep's.
    """
    if not (held.get(DESCRIPTION) and held.get(INTERFACE)):
        problem = "does not say what its classes are, so segsweep export has not written it"
        raise DamagedFileError(path, problem, "give a file of segsweep export")
    description = Description.from_json(held[DESCRIPTION], path)
    try:
        return description, Interface.of(json.loads(held[INTERFACE]))
    except ValueError as error:
        problem = f"does not say how it is used ({error})"
        raise DamagedFileError(path, problem, "export the network again") from error


def trained(network: Exported, description: Description, device: torch.device) -> Trained:
    """Return the network of a file, as loaded.

    Raises:
        UserError: it gives labels.
    """
    path, interface = network.file, network.interface
    if interface.gives == LABELS:
        raise UserError(
            f"{path}: gives labels (output=labels), and strategies, probabilities and the figures of a test "
            "are made of logits; use the run, or a file with output=logits"
        )

    def network_at(output_stride: int | None) -> Network:
        if output_stride not in (None, interface.output_stride):
            raise OptionError(
                "output_stride",
                output_stride,
                problem=f"{path.name} holds the network at {interface.output_stride}",
                remedy="test by others, as test=[single], or test the run",
            )
        return network

    return Trained(description, network_at, device)
