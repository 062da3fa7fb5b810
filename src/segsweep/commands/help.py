"""`segsweep train --help`: the axes and their choices, read from the configuration as it is."""

import textwrap
from collections.abc import Sequence

from segsweep.config import groups as config_files
from segsweep.config.schema import OPTIONS, UNSET, Option

WIDTH = 110
"""Columns of the help."""

USAGE = {
    "train": "Train and test one run, or with -m all combinations of comma-separated values.",
    "plan": "Print what `segsweep train` would do with these arguments, and its cost; nothing is started.",
    "profile": "Count and time a network, or with -m those of all combinations. No data is needed.",
    "test": "Test trained runs with further strategies, named by id or by the overrides that trained them.",
}

EXAMPLES = {
    "train": (
        "segsweep train head=aspp head.rates=[6,12,18,24] dataset=camvid data_dir=DIR",
        "segsweep train -m backbone=mobilenetv2,resnet18 'head.rates=[6,12,18],[1,6,12,18,24]' seed=0,1",
        "segsweep train -m +experiments=ksac/table2 data_dir=DIR",
    ),
    "plan": (
        "segsweep plan -m head=none,aspp,ksac seed=0,1,2 dataset=camvid data_dir=DIR gpus=4",
        "segsweep plan -m +experiments=ksac/table1 data_dir=DIR format=json",
    ),
    "profile": (
        "segsweep profile backbone=resnet101 head=ksac num_classes=19 input=[1024,2048]",
        "segsweep profile -m head=none,aspp,ksac input=512 latency=true reference=none",
        "segsweep profile -m +experiments=camvid_heads format=json",
    ),
    "test": ("segsweep test 3f9c2a test=[ms_flip]", "segsweep test -m head=aspp,ksac 'test=[flip,ms]'"),
}

FLAGS = (
    ("-m, --multirun", "sweep over comma-separated values; -m is not needed for an experiment that says so"),
    ("--cfg job", "print the composed configuration, of a chain that of each stage, and do nothing"),
    ("hydra.sweeper.rows=[…]", "members that are no product of axes: a string of overrides each, as"),
    ("", '["head=none","head=ksac head.rates=[6,12]"]; each is combined with every axis'),
    ("trust=true", "with an ID: build any class that the run folder names, not only segsweep's and your own"),
    (
        "hydra/launcher=NAME",
        "who runs a sweep: segsweep (one after the other, the default), pool (all GPUs of",
    ),
    ("", "this machine), submitit_slurm, joblib …; hydra.launcher.KEY=… sets its options"),
)


def text(command: str, own: Sequence[tuple[str, str]] = ()) -> str:
    """The help of a command that takes a configuration, and perhaps options of its own."""
    ids = "[ID ...] " if command == "test" else ""
    usage = f"usage: segsweep {command} {ids}[axis=choice ...] [key=value ...]"
    lines = [usage, "", USAGE[command], "", "axes"]
    defaults = config_files.defaults()
    for group in config_files.GROUPS:
        choices, default = " ".join(config_files.choices(group)), defaults[group] or "null"
        lines.append(f"  {group + '=':<12}{choices}   (default {default})")
    lines.append(f"  {'+experiments=':<12} {' '.join(config_files.choices('experiments'))}")
    if own:
        lines += ["", f"options of {command}"] + [f"  {option:<22}{meaning}" for option, meaning in own]
    lines += ["", "options (with their defaults)"]
    lines += [line for key, option in OPTIONS.items() for line in _lines(key, option)]
    for group in (g for g in config_files.GROUPS if g not in ("test", "trainer")):
        options = " ".join(sorted(config_files.options(group)))
        lines.append(f"  {group}.…: {options}")
    lines.append("  test.NAME.…: scales flip window stride output_stride")
    lines += ["", "flags"] + [f"  {flag:<22}{meaning}" for flag, meaning in FLAGS]
    lines += ["", "examples"] + [f"  {example}" for example in EXAMPLES[command]]
    return "\n".join(lines) + "\n"


def _lines(key: str, option: Option) -> list[str]:
    """An option with its default and what it means, which may take several lines."""
    default = option.default
    shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else default
    begins = f"  {key}={'…' if default == UNSET else shown}".ljust(39) + " "
    return textwrap.wrap(begins + option.meaning, WIDTH, subsequent_indent=" " * 40)
