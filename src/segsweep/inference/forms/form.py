"""What a form of a trained network is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from segsweep.errors import OptionError, UserError
from segsweep.inference.trained import Trained
from segsweep.networks import Segmenter
from segsweep.rules import one_of

PREPROCESSING = one_of("inside", "described")
INPUT = one_of("float32", "uint8")
LABELS = "labels"
OUTPUT = one_of("logits", LABELS)


@dataclass(frozen=True)
class Wishes:
    """What an export may be asked for beside its form.

    Raises:
        OptionError: a value that there is not, or normalised pixels as uint8.
    """

    preprocessing: str = "inside"
    """`inside`: the file takes pixels, 0..255. `described`: it takes normalised ones; mean and std are in its
    metadata."""
    input: str = "float32"
    """The type of pixels: `float32`, or `uint8` as images are decoded."""
    output: str = "logits"
    """`logits`, or `labels`: the class of each pixel, uint8."""

    def __post_init__(self) -> None:
        for name, rule in (("preprocessing", PREPROCESSING), ("input", INPUT), ("output", OUTPUT)):
            rule.check(name, getattr(self, name))
        if self.input == "uint8" and self.preprocessing == "described":
            problem = "normalised pixels are no whole numbers"
            raise OptionError("input", self.input, problem=problem, remedy="use preprocessing=inside")


DEFAULT = Wishes()


class Form(ABC):
    """A way to keep a trained network outside its run.

    A form is one subclass in a module of its own and one line in `known_forms`. It imports libraries that it
    alone needs where it uses them.
    """

    name: ClassVar[str]
    """As in `segsweep export RUN format=NAME`."""
    suffix: ClassVar[str] = ""
    """Of its file; empty for a folder."""
    summary: ClassVar[str]
    """What it is for, in a line."""

    def is_at(self, path: Path) -> bool:
        """Return whether a path, which exists, is a network in this form; without importing much."""
        return bool(self.suffix) and path.is_file() and path.suffix == self.suffix

    def check(self, wishes: Wishes) -> None:  # noqa: B027 — most can be written anywhere
        """Raise UserError if the form cannot be written so, or not on this machine."""

    def own_network(self, trained: Trained) -> Segmenter:
        """Return the network with its weights; raise UserError if it is one that was exported to a file."""
        if not isinstance(trained.network, Segmenter):
            raise UserError(
                f"format={self.name} needs the network's own weights, which an exported file has no more; "
                f"export the run {trained.description.run}"
            )
        return trained.network

    @abstractmethod
    def read(self, path: Path, device: torch.device, trust: bool = False) -> Trained:
        """Load a network.

        Raises:
            UserError: it is damaged, or names classes that are not trusted, unless `trust` is set.
        """

    @abstractmethod
    def write(self, trained: Trained, target: Path, wishes: Wishes = DEFAULT) -> None:
        """Write a network; a file or folder that has its name is complete.

        Raises:
            UserError: the form cannot hold it, or it cannot be written.
        """
