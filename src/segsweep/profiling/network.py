"""One network of a profile: the part of a configuration that decides what a network costs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from segsweep.build import build_segmenter
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError
from segsweep.networks import Segmenter
from segsweep.planning.plan import Member
from segsweep.profiling import counted as published
from segsweep.profiling import counts, memory
from segsweep.runs.compare import show
from segsweep.runs.identity import flatten

WEIGHTS = ("pretrained", "weights")  # where an encoder's weights come from, which changes no cost
MIB = 2**20


@dataclass(frozen=True)
class Network:
    """A network at an input size (height, width).

    `config` is what builds it, `values` all options of the member with groups by their choice.
    """

    config: Mapping[str, Any]
    values: Mapping[str, Any]
    size: tuple[int, int]

    @classmethod
    def of(cls, member: Member, size: tuple[int, int] | None) -> "Network":
        """The network of a composed configuration, at the size of its training crop where none is given."""
        config = {part: member.config[part] for part in ("backbone", "head", "num_classes")}
        config["backbone"] = {k: v for k, v in config["backbone"].items() if k not in WEIGHTS}
        height, width = size or member.config["size"]
        return cls(config, {**dict(flatten(member.config)), **member.choices}, (height, width))

    @property
    def key(self) -> str:
        """Equal for networks that cost the same because they are the same."""
        return json.dumps([self.config, self.size], sort_keys=True)

    @cached_property
    def label(self) -> str:
        """Encoder, head and the options that are not their defaults, as one would type them."""
        words = [str(self.values[group]) for group in ("backbone", "head")]
        for group in ("backbone", "head"):
            defaults = dict(flatten(config_files.own_options(group, self.values[group])))
            options = ((key, value) for key, value in flatten(self.config[group]) if key != "_target_")
            words += [f"{group}.{key}={show(v)}" for key, v in options if defaults.get(key) != v]
        return " ".join(words)

    def build(self) -> Segmenter:
        """A network of its own, with random weights."""
        return build_segmenter(self.config, load_weights=False)

    def check(self, batch: int) -> None:
        """Build it and hold the input against it.

        Raises:
            UserError: as the network's parts raise it, or a ConfigError for an input that is too small or no
                number of classes.
        """
        classes = self.config["num_classes"]
        if not isinstance(classes, int) or classes < 1:
            raise ConfigError(f"num_classes={classes}: expected a number of classes, at least 1")
        stride = max(self._on_meta().encoder.reductions)
        cells = -(-self.size[0] // stride) * -(-self.size[1] // stride)
        if min(self.size) < stride or (cells == 1 and batch == 1):
            raise ConfigError(
                f"input={list(self.size)}: smaller than two cells of the encoder's coarsest map, of {stride} "
                f"pixels each; use input={2 * stride} or more"
            )

    def counted(self) -> dict[str, float]:
        """Parameters of the network that predicts, in millions, and MACs of an image in G."""
        parts = counts.parameters(self._on_meta())
        return {
            "params_m": (parts["encoder"] + parts["head"]) / 1e6,
            "gmacs": counts.macs(self._on_meta(), self.size) / 1e9,
        }

    def figures(self, batch: int, dtype: torch.dtype) -> dict[str, Any]:
        """The columns that need no clock: counts in millions and G, memory of a batch in MiB."""
        parts, counted = counts.parameters(self._on_meta()), self.counted()
        image = torch.empty(batch, 3, *self.size, dtype=torch.uint8, device="meta")
        found = published.find(self.values, counted, self.size)
        return {
            "network": self.label,
            "num_classes": self.config["num_classes"],
            "input": list(self.size),
            **counted,
            **{f"{part}_m": count / 1e6 for part, count in parts.items()},
            "training_params_m": sum(parts.values()) / 1e6,
            "batch": batch,
            "precision": str(dtype).removeprefix("torch."),
            "activations_mib": memory.peak_activations(self._on_meta(dtype), image) / MIB,
            "saved_mib": memory.saved_for_backward(self._on_meta(dtype), image) / MIB,
            **published.beside(found, counted),
        }

    def _on_meta(self, dtype: torch.dtype = torch.float32) -> Segmenter:
        with torch.device("meta"):
            return self.build().to(dtype)


def reference(labels: Sequence[str], words: str | None) -> int:
    """Which network the others are compared with: the first, or the one whose label has all the words.

    Raises:
        ConfigError: no label has them, or several have.
    """
    if words is None:
        return 0
    fitting = [i for i, label in enumerate(labels) if set(words.split()) <= set(label.split())]
    if len(fitting) != 1:
        raise ConfigError(
            f"reference={words}: {'no network is' if not fitting else f'{len(fitting)} networks are'} called "
            f"so; known: {', '.join(labels)}"
        )
    return fitting[0]
