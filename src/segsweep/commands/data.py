"""`segsweep data`: check a dataset's files, or make those that its release lacks.

The dataset is named and configured as for `segsweep train`; the configuration is otherwise unchanged.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.commands import help as help_text
from segsweep.commands import options
from segsweep.commands.output import print_rows
from segsweep.config import groups as config_files
from segsweep.cores import usable_cores
from segsweep.errors import ConfigError, OptionError
from segsweep.files import write_bytes
from segsweep.terminal import progress_bar

if TYPE_CHECKING:  # a dataset takes seconds to import, and help needs none
    from segsweep.data.check.report import Report

HELP = """usage: segsweep data check dataset=NAME [key=value ...]
       segsweep data prepare dataset=NAME [key=value ...]

check opens every file of a dataset and reports what is wrong and how to repair it: lists and counts
against the official release, splits that share images, damaged files, labels of another size or encoding.
Exit status 0 without problems, 1 with, 2 for a mistake in the command.
prepare makes the files that some datasets need beyond their release, after listing what it will make.

options of both
  dataset=NAME          {datasets}
  dataset.root=DIR      the folder that the official archive unpacks to (data_dir=DIR: the folder above it)
  dataset.…             the dataset's other options, as for segsweep train
  workers=N             processes (default: all available processors)

options of check
  partial=false         true: only part of the release was fetched; what is there must be right
  format=table          table or json: {"splits": …, "problems": …} and nothing else on stdout
  out=FILE              write everything found to FILE, as JSON if it ends in .json, else as Markdown

options of prepare
  download=false        true: fetch the official archives first, if that needs no account

examples
  segsweep data check dataset=camvid dataset.root=DIR
  segsweep data check dataset=voc2012 partial=true format=json
  segsweep data check dataset=folder dataset.root=DIR       your own images: what is understood of them
  segsweep data prepare dataset=coco_voc data_dir=DIR download=true
"""
SHOWN = 20
"""The largest number of problems that a table shows."""


def main(arguments: Sequence[str]) -> int:
    """Run `segsweep data check` or `segsweep data prepare`; return the exit status."""
    if not arguments:
        print(help_text.filled(HELP), end="")
        return 0
    name, *rest = arguments
    commands: dict[str, Callable[[Sequence[str]], int]] = {"check": check, "prepare": prepare}
    if name not in commands:
        raise OptionError(f"data {name}", problem="no such command", near=commands)
    return commands[name](rest)


def check(arguments: Sequence[str]) -> int:
    """Check a dataset's files and print the report; return 1 if there are problems."""
    asked, overrides = _parse(arguments, {"partial": False, "format": "table", "out": None})
    if asked["format"] not in ("table", "json"):
        raise OptionError("format", asked["format"], near=("table", "json"))
    from segsweep.data.split import faults_collected
    from segsweep.planning.compose import compose

    with faults_collected() as faults:
        members = compose("data check", overrides)
        if not members:  # Hydra was asked to print the configuration
            return 0
        from segsweep.builders import build_dataset
        from segsweep.data.check.inspect import check as check_files

        config = members[0].config
        data = build_dataset(config)
    height, width = config.size
    with progress_bar("opening files") as on_progress:
        report = check_files(data, (height, width), asked["partial"], asked["workers"], on_progress, faults)
    if asked["out"]:
        out = Path(asked["out"])
        is_json = out.suffix == ".json"
        text = json.dumps(report.as_json(), indent=1) + "\n" if is_json else report.markdown()
        write_bytes(out, text.encode(), "out=…")
    if asked["format"] == "json":
        print(json.dumps(report.as_json(), indent=1))
    else:
        _print(report, asked["out"])
    return 1 if report.problems else 0


def prepare(arguments: Sequence[str]) -> int:
    """Fetch archives if asked to, list the files to make, and make them; return the exit status."""
    asked, overrides = _parse(arguments, {"download": False})
    from segsweep.planning.compose import compose

    members = compose("data prepare", overrides)
    if not members:  # Hydra was asked to print the configuration
        return 0
    from segsweep.builders import build_dataset
    from segsweep.data import download
    from segsweep.data.prepare import run

    data = build_dataset(members[0].config)
    if not data.archives() and data.fetch:
        print(f"{type(data).__name__} is fetched by hand: {data.fetch}")
    elif asked["download"]:
        for archive, place in download.missing(data.archives()):
            print(f"fetching {archive.url}, {archive.size / 2**30:,.1f} GiB, to {place}")
            with progress_bar(archive.name) as draw:
                fetched = partial(lambda draw, _name, done, total: draw(done, total), draw)
                download.download([(archive, place)], fetched)
    elif download.missing(data.archives()):
        print(f"not all archives are unpacked (download=true fetches what needs no account): {data.fetch}")
    preparations = [each for each in data.preparations() if not each.complete]
    if not preparations:
        print(
            f"{type(data).__name__}: nothing to make; segsweep data check tells whether all files are right"
        )
        return 0
    for each in preparations:
        seconds = each.seconds(asked["workers"])
        time = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
        print(
            f"{each.makes}: {len(each.tasks):,} of {each.files:,} files to make, "
            f"{each.bytes / 2**20:,.0f} MiB, about {time} (processes: {asked['workers']})"
        )
    with progress_bar("making files") as on_progress:
        run(preparations, asked["workers"], on_progress)
    print(f"{type(data).__name__} is prepared")
    return 0


def _parse(arguments: Sequence[str], own: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the command's own options, checked, and the arguments for Hydra."""
    defaults = {**own, "workers": usable_cores()}
    mine, rest = options.split(arguments, defaults)
    asked = options.parse(mine, defaults)
    if type(asked["workers"]) is not int or asked["workers"] < 0:
        expected = "a number of processes, 0 for this one alone"
        raise OptionError("workers", asked["workers"], expected)
    if any(argument in ("-m", "--multirun") for argument in rest):
        raise ConfigError("-m: one dataset at a time; leave it out")
    named = [argument.partition("=")[2] for argument in rest if argument.startswith("dataset=")]
    if any("," in name for name in named):
        raise ConfigError(f"dataset={named[0]}: one dataset at a time; give a command for each")
    if not named:
        names = ", ".join(config_files.choices("dataset"))
        raise ConfigError(f"dataset=NAME is missing: expected one of {names}")
    return asked, rest


def _print(report: "Report", out: str | None) -> None:
    """Print the tables, then notes and problems, as the last lines are read first."""
    print_rows(report.split_rows(), "table", title=report.title)
    print_rows(report.class_rows(), "table", title="classes (shares of labelled pixels)")
    for note in report.notes:
        print(f"note: {note}")
    for problem in report.problems[:SHOWN]:
        print(f"{problem.file}: {problem.problem}\n    repair: {problem.repair}")
    more = len(report.problems) - SHOWN
    if more > 0:
        print(f"and {more} more; out=FILE writes all of them")
    print(report.verdict() + (f", all in {out}" if out and report.problems else ""))
