"""`segsweep profile`: what one network costs, or those of a sweep side by side.

Axes and experiments are those of `segsweep train`; the options below are the command's own.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from segsweep.commands import help as help_text
from segsweep.commands import options
from segsweep.commands.output import check_format, print_rows
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, near

if TYPE_CHECKING:  # torch takes seconds to import, and help needs none of it
    import torch

    from segsweep.profiling.latency import Setting
    from segsweep.profiling.network import Network

log = logging.getLogger("segsweep")

DEFAULTS: Mapping[str, Any] = {
    "format": "table",
    "input": None,
    "batch": 1,
    "precision": "32",
    "latency": None,
    "device": "auto",
    "channels_last": False,
    "compile": False,
    "seconds": 2,
    "reference": None,
}
HELP = (
    ("input=[H,W]", "image size, such as [1024,2048]; without it the configuration's size, which is a crop"),
    ("format=table", "table, json or csv; programs get all columns, and numbers as they are"),
    ("batch=1", "images at once, for memory and time; MACs are an image's"),
    ("precision=32", "32, 16 or bf16: the type of weights and activations"),
    ("latency=true|false", "whether to time: one network yes, a sweep if asked here or by an option below"),
    ("device=auto", "auto, cpu, cuda or cuda:N"),
    ("seconds=2", "time for each network; a sweep's take turns, call by call"),
    ("channels_last=false", "the memory layout of weights and activations"),
    ("compile=false", "torch.compile, whose own time does not count"),
    ("reference=WORDS", "the network that ratios are to, by words of its name: ksac; else the first"),
)
TIMING = ("device", "channels_last", "compile", "seconds", "reference")
TABLE = (
    "network", "num_classes", "input", "params_m", "encoder_m", "head_m", "auxiliary_m", "gmacs",
    "activations_mib", "saved_mib", "latency_ms", "iqr_ms", "images_per_second", "ratio",
    "published_params_m", "params_off_percent", "published_gflops", "gflops_off_percent",
)  # fmt: skip

FIRST_TO_GO = (
    "iqr_ms", "activations_mib", "saved_mib", "auxiliary_m", "num_classes", "images_per_second", "encoder_m",
    "head_m", "params_off_percent", "gflops_off_percent", "input",
)  # fmt: skip
"""Columns that a narrow terminal has no room for, the first to go first."""


def main(arguments: Sequence[str]) -> int:
    """Profile what the arguments name and print a row for each network."""
    if "--help" in arguments or "-h" in arguments:
        print(help_text.text("profile", HELP), end="")
        return 0
    own = [a for a in arguments if a.partition("=")[0] in DEFAULTS]
    asked = _parse(own)
    networks = _compose([a for a in arguments if a not in own], asked)
    if not networks:  # Hydra was asked to print the configuration
        return 0
    from segsweep.profiling.latency import precision

    dtype = precision(asked["precision"])
    timed = _is_timed(asked, len(networks))
    setting = _setting(asked, dtype) if timed else None
    rows = [network.figures(asked["batch"], dtype) for network in networks]
    if setting is not None:
        rows = _timed(rows, networks, setting, asked["reference"])
    _print(rows, asked, setting)
    return 0


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """The command's own options, of the right kinds.

    Raises:
        ConfigError: one is not.
    """
    asked = options.parse(arguments, DEFAULTS)
    check_format(asked["format"])
    if asked["latency"] is not None:
        asked["latency"] = yaml.safe_load(asked["latency"])
    for name in ("latency", "channels_last", "compile"):
        if asked[name] not in (True, False, None):
            raise ConfigError(f"{name}={asked[name]}: expected true or false")
    if not _is_count(asked["batch"]):
        raise ConfigError(f"batch={asked['batch']}: expected a number of images, at least 1")
    if isinstance(asked["seconds"], bool | str | list) or not asked["seconds"] > 0:
        raise ConfigError(f"seconds={asked['seconds']}: expected a number above 0")
    if asked["latency"] is False and (unused := [a.partition("=")[0] for a in arguments if _times(a)]):
        raise ConfigError(f"{unused[0]} says how to time, which latency=false forbids: leave out one of them")
    asked["timing"] = any(map(_times, arguments))
    return {**asked, "input": _size(asked["input"])}


def _times(argument: str) -> bool:
    return argument.partition("=")[0] in TIMING


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _size(text: str | None) -> tuple[int, int] | None:
    value = None if text is None else yaml.safe_load(text)
    if value is None:
        return None
    height, width = value if isinstance(value, list) and len(value) == 2 else (value, value)
    if not (_is_count(height) and _is_count(width)):
        raise ConfigError(f"input={text}: expected [height,width] or one number for both")
    return height, width


def _compose(arguments: Sequence[str], asked: Mapping[str, Any]) -> "list[Network]":
    """The networks that the arguments name, each once, checked before any is profiled."""
    from segsweep.planning.compose import compose
    from segsweep.planning.plan import Member

    networks: dict[str, Network] = {}

    def collect(member: Member) -> None:
        from segsweep.profiling.network import Network

        network = Network.of(member, asked["input"])
        if network.key not in networks:
            network.check(asked["batch"])
            networks[network.key] = network

    try:
        compose("profile", arguments, check=collect)
    except ConfigError as error:
        raise _mistyped(arguments) or error from error
    return list(networks.values())


def _mistyped(arguments: Sequence[str]) -> ConfigError | None:
    """The error for an option that neither this command nor the configuration has."""
    known = {*DEFAULTS, *config_files.options(""), *config_files.GROUPS, "experiments"}
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if equals and key.isidentifier() and key not in known:
            return ConfigError(f"{key}: no such option; {near(key, known)}")
    return None


def _is_timed(asked: Mapping[str, Any], networks: int) -> bool:
    """As `latency` says; where it says nothing, one network is timed and several where an option asks."""
    if asked["latency"] is not None:
        return bool(asked["latency"])
    return networks == 1 or bool(asked["timing"])


def _setting(asked: Mapping[str, Any], dtype: "torch.dtype") -> "Setting":
    from segsweep.profiling.latency import Setting, device

    kept = {key: asked[key] for key in ("batch", "channels_last", "compile", "seconds")}
    return Setting(device(asked["device"]), dtype, **kept)


def _timed(
    rows: "Sequence[dict[str, Any]]", networks: "Sequence[Network]", setting: "Setting", words: str | None
) -> list[dict[str, Any]]:
    """The rows with their timings: medians over rounds, and of the ratio to the reference in each round."""
    from segsweep.profiling.latency import measure, summary
    from segsweep.profiling.network import reference

    index = reference([network.label for network in networks], words)
    seconds = measure([(network.build(), network.size) for network in networks], setting)
    return [{**row, **columns} for row, columns in zip(rows, summary(seconds, index, setting), strict=True)]


def _print(rows: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], setting: "Setting | None") -> None:
    """A table leaves out columns that are empty and says the discrepancies below; programs get all."""
    if asked["format"] != "table":
        print_rows(rows, asked["format"])
        return
    columns = [c for c in TABLE if any(row.get(c) not in (None, 0) for row in rows)]
    how = f"not timed: latency=true times {'it' if len(rows) == 1 else 'them in turn'}"
    title = f"batch {asked['batch']}, precision {asked['precision']}, {setting.text if setting else how}"
    print_rows(rows, "table", title, columns, FIRST_TO_GO)
    for row in rows:
        if row["discrepancy"]:
            print(f"{row['network']}, {row['published']}: {row['discrepancy']}")
