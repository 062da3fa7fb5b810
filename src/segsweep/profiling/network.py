"""One network of a profile, and the papers' figures for it.

A network is the part of a configuration that determines the cost of inference. Each row of
experiments/counted.yaml is a network of a paper: its configuration, the input size, the counts of a faithful
build, the table rows that print its size, and why the two differ if they do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

from segsweep.builders import build_segmenter
from segsweep.config import groups as config_files
from segsweep.config.schema import NETWORK, RunConfig
from segsweep.errors import OptionError, as_typed
from segsweep.networks import Segmenter
from segsweep.planning.experiment import published_table
from segsweep.planning.plan import Member
from segsweep.profiling.size import macs, on_meta, parameters, peak_activations, saved_for_backward
from segsweep.runs.settings import canonical, flatten

WEIGHTS = ("pretrained", "weights")
"""Options of an encoder or a network that choose its weights, without an effect on cost."""
ROUNDING = 0.005
"""Tolerance for rounded counts; another atrous rate, width or stride changes one of them by more."""
MIB = 2**20
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """A network at an input size (height, width): what builds it, and all options with groups by choice."""

    config: RunConfig
    values: Mapping[str, Any]
    size: tuple[int, int]

    @classmethod
    def of(cls, member: Member, size: tuple[int, int] | None) -> "Network":
        """Return the network of a composed configuration; `size` defaults to its training crop."""
        config = {part: member.config[part] for part in NETWORK if part in member.config}
        for part in config.keys() - {"num_classes"}:
            config[part] = {k: v for k, v in config[part].items() if k not in WEIGHTS}
        height, width = size or member.config.size
        return cls(RunConfig.of(config), {**dict(flatten(member.config)), **member.choices}, (height, width))

    @property
    def key(self) -> str:
        """A text that is equal for equal networks at equal sizes."""
        return json.dumps([self.config.content, self.size], sort_keys=True)

    @cached_property
    def label(self) -> str:
        """Encoder and head, or network, and options other than their defaults, as on a command line."""
        groups = [group for group in NETWORK if isinstance(self.config.get(group), Mapping)]
        words = [str(self.values[group]) for group in groups]
        for group in groups:
            defaults = dict(flatten(config_files.own_options(group, self.values[group])))
            options = ((key, value) for key, value in flatten(self.config[group]) if key != "_target_")
            words += [f"{group}.{key}={as_typed(v)}" for key, v in options if defaults.get(key) != v]
        return " ".join(words)

    def build(self) -> Segmenter:
        """Return a new network with random weights."""
        return build_segmenter(self.config, load_weights=False)

    def check(self, batch: int) -> None:
        """Build the network on the meta device and check that the input is large enough.

        Raises:
            UserError: the network cannot be built.
            OptionError: the input is too small, or `num_classes` is not a number of classes.
        """
        classes = self.config.num_classes
        if not isinstance(classes, int) or classes < 1:
            raise OptionError("num_classes", classes, "a number of classes, at least 1")
        stride = on_meta(self.config).stride
        cells = -(-self.size[0] // stride) * -(-self.size[1] // stride)
        if min(self.size) < stride or (cells == 1 and batch == 1):
            problem = f"smaller than two cells of the network's coarsest map, of {stride} pixels each"
            remedy = f"use input={2 * stride} or more"
            raise OptionError("input", list(self.size), problem=problem, remedy=remedy)

    def counted(self) -> dict[str, float]:
        """Return the parameters used in inference in millions, and the MACs of an image in G."""
        parts = parameters(on_meta(self.config))
        return {
            "params_m": (parts["encoder"] + parts["head"]) / 1e6,
            "gmacs": macs(on_meta(self.config), self.size) / 1e9,
        }

    def figures(self, batch: int, dtype: torch.dtype) -> dict[str, Any]:
        """Return the columns without timings: counts in millions and G, memory of a batch in MiB."""
        parts, counted = parameters(on_meta(self.config)), self.counted()
        image = torch.empty(batch, 3, *self.size, dtype=torch.uint8, device="meta")
        return {
            "network": self.label,
            "num_classes": self.config.num_classes,
            "input": list(self.size),
            **counted,
            **{f"{part}_m": count / 1e6 for part, count in parts.items()},
            "training_params_m": sum(parts.values()) / 1e6,
            "batch": batch,
            "precision": str(dtype).removeprefix("torch."),
            "activations_mib": peak_activations(on_meta(self.config, dtype), image) / MIB,
            "saved_mib": saved_for_backward(on_meta(self.config, dtype), image) / MIB,
            **beside(find(self.values, counted, self.size), counted),
        }


def reference(labels: Sequence[str], words: str | None) -> int:
    """Return the index of the network to compare with: the first, or the one whose label has all words.

    Raises:
        OptionError: no label or several labels have all words.
    """
    if words is None:
        return 0
    fitting = [i for i, label in enumerate(labels) if set(words.split()) <= set(label.split())]
    if len(fitting) != 1:
        found = f"{len(fitting)} networks are" if fitting else "no network is"
        known = f"known: {', '.join(labels)}"
        raise OptionError("reference", words, problem=f"{found} called so", remedy=known)
    return fitting[0]


@cache
def counted_rows() -> list[Row]:
    """Return the networks of experiments/counted.yaml."""
    rows: list[Row] = config_files.read(config_files.root() / "experiments" / "counted.yaml")["rows"]
    return rows


def find(values: Mapping[str, Any], figures: Mapping[str, float], size: Sequence[int]) -> Row | None:
    """Return a network's row in experiments/counted.yaml; of several, the one with most options.

    A row matches if all entries of its `config` are among `values` (dotted keys, groups by choice), the input
    sizes are equal, and so are the counts: an option that the row does not mention, such as `head.width`,
    may make another network.
    """
    missing = object()
    rows = [
        row
        for row in counted_rows()
        if all(canonical(values.get(key, missing)) == canonical(v) for key, v in row["config"].items())
        and row.get("size") in (None, list(size))
        and all(abs(figures[key] / row[key] - 1) < ROUNDING for key in ("params_m", "gmacs") if row.get(key))
    ]
    return max(rows, key=lambda row: len(row["config"]), default=None)


def printed(row: Row) -> dict[str, float | None]:
    """Return the papers' figures for a row's network: parameters in millions and MACs in G, or None.

    One run may stand behind two printed rows (DFANet's A and A'), which the size of their input tells apart.
    """
    tables = {name: published_table(name)["rows"] for name in row["printed"]}
    runs = [each for name, run in row["printed"].items() for each in tables[name] if each.get("run") == run]
    rows = [each for each in runs if each.get("input", row["size"]) == row["size"]]
    return {key: next((each[key] for each in rows if key in each), None) for key in ("params", "gflops")}


def beside(row: Row | None, figures: Mapping[str, float]) -> dict[str, Any]:
    """Return the published figures of a row, and the deviation of the counted ones in percent."""
    sizes = printed(row) if row else {}
    columns: dict[str, Any] = {"published": row and row["name"]}
    for key, name, column in (("params_m", "params", "params_m"), ("gmacs", "gflops", "gflops")):
        value = sizes.get(name)
        columns[f"published_{column}"] = value
        columns[f"{name}_off_percent"] = 100 * (figures[key] / value - 1) if value else None
    return {**columns, "discrepancy": row and row.get("discrepancy")}
