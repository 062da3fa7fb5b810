"""`segsweep profile`: the cost of one network, or of a sweep's networks side by side.

Axes and experiments are those of `segsweep train`; the options below belong to this command.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from segsweep.commands import options
from segsweep.commands.output import check_format, print_rows
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, OptionError
from segsweep.rules import is_whole

if TYPE_CHECKING:  # torch takes seconds to import, and help does not need it
    from segsweep.profiling.network import Network

log = logging.getLogger("segsweep")

HELP = """usage: segsweep profile [axis=choice ...] [key=value ...]

Count and time a network, or with -m those of all combinations. No data is needed.

{axes}
options of profile
  input=[H,W]           image size, such as [1024,2048]; the default is the configuration's size, a crop
  format=table          table, json or csv; json and csv have all columns, and unrounded numbers
  batch=1               images at once, for memory and time; MACs are per image
  precision=32          32, 16 or bf16: the type of weights and activations
  latency=true|false    whether to time: one network yes, a sweep if asked here or by an option below
  device=auto           auto, cpu, cuda or cuda:N
  seconds=2             time for each network; a sweep's take turns, call by call
  channels_last=false   the memory layout of weights and activations
  compile=false         torch.compile, whose own time does not count
  reference=WORDS       the network to which ratios refer, by words of its name: ksac; else the first

{options}
examples
  segsweep profile backbone=resnet101 head=ksac num_classes=19 input=[1024,2048]
  segsweep profile -m head=none,aspp,ksac input=512 latency=true reference=none
  segsweep profile -m +experiments=camvid_heads format=json
"""
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
"""Columns to leave out on a narrow terminal, in order."""


def main(arguments: Sequence[str]) -> int:
    """Profile the networks that the arguments name and print a row for each."""
    own, others = options.split(arguments, DEFAULTS)
    asked = _parse(own)
    networks = _compose(others, asked)
    if not networks:  # Hydra was asked to print the configuration
        return 0
    from segsweep.profiling.latency import Setting, device, measure, precision, summary
    from segsweep.profiling.network import reference

    dtype, setting = precision(asked["precision"]), None
    # If `latency` is not given, one network is timed, and several if an option says how.
    if asked["latency"] or (asked["latency"] is None and (len(networks) == 1 or asked["timing"])):
        kept = {key: asked[key] for key in ("batch", "channels_last", "compile", "seconds")}
        setting = Setting(device(asked["device"]), dtype, **kept)
    rows = [network.figures(asked["batch"], dtype) for network in networks]
    if setting is not None:
        index = reference([network.label for network in networks], asked["reference"])
        seconds = measure([(network.build(), network.size) for network in networks], setting)
        rows = [{**row, **c} for row, c in zip(rows, summary(seconds, index, setting), strict=True)]
    if asked["format"] != "table":
        print_rows(rows, asked["format"])
        return 0
    columns = [c for c in TABLE if any(row.get(c) not in (None, 0) for row in rows)]
    how = f"not timed: latency=true times {'it' if len(rows) == 1 else 'them in turn'}"
    title = f"batch {asked['batch']}, precision {asked['precision']}, {setting.text if setting else how}"
    print_rows(rows, "table", title, columns, FIRST_TO_GO)
    for row in rows:
        if row["discrepancy"]:
            print(f"{row['network']}, {row['published']}: {row['discrepancy']}")
    return 0


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the command's own options.

    Raises:
        ConfigError: if one has a wrong value, or says how to time although latency=false.
    """
    asked = options.parse(arguments, DEFAULTS)
    check_format(asked["format"])
    asked |= {name: yaml.safe_load(asked[name]) for name in ("latency", "input") if asked[name] is not None}
    if asked["latency"] not in (True, False, None):
        raise OptionError("latency", asked["latency"], "true or false")
    if not is_whole(asked["batch"]):
        raise OptionError("batch", asked["batch"], "a number of images, at least 1")
    if isinstance(asked["seconds"], bool | str | list) or not asked["seconds"] > 0:
        raise OptionError("seconds", asked["seconds"], "a number above 0")
    if (size := asked["input"]) is not None:
        asked["input"] = tuple(size) if isinstance(size, list) else (size, size)
        if len(asked["input"]) != 2 or not all(map(is_whole, asked["input"])):
            raise OptionError("input", size, "[height,width] or one number for both")
    timing = [key for argument in arguments if (key := argument.partition("=")[0]) in TIMING]
    if asked["latency"] is False and timing:
        raise ConfigError(f"{timing[0]} says how to time, which latency=false forbids: leave out one of them")
    return {**asked, "timing": timing}


def _compose(arguments: Sequence[str], asked: Mapping[str, Any]) -> "list[Network]":
    """Return the networks that the arguments name, each once; all are checked before any is profiled."""
    from segsweep.planning.compose import compose
    from segsweep.planning.plan import Member
    from segsweep.profiling.network import Network

    networks: dict[str, Network] = {}

    def collect(member: Member) -> None:
        network = Network.of(member, asked["input"])
        if network.key not in networks:
            network.check(asked["batch"])
            networks[network.key] = network

    try:
        compose("profile", arguments, check=collect)
    except ConfigError as error:
        # An unknown option may be a mistyped one of this command or of the configuration.
        known = {*DEFAULTS, *config_files.options(""), *config_files.GROUPS, "experiments"}
        for key, equals, _ in (argument.partition("=") for argument in arguments):
            if equals and key.isidentifier() and key not in known:
                raise OptionError(key, problem="no such option", near=known) from error
        raise
    return list(networks.values())
