"""`segsweep data`: check a data set's files, or make those that its release does not have.

The data set is named and changed as for `segsweep train`; everything else of a configuration is left alone.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.commands import options
from segsweep.commands.output import print_rows
from segsweep.config import groups as config_files
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, near
from segsweep.terminal import progress_bar

if TYPE_CHECKING:  # a data set takes seconds to import, and help needs none
    from segsweep.data.check.report import Report
    from segsweep.data.dataset import SegmentationDataset

HELP = """usage: segsweep data check dataset=NAME [key=value ...]
       segsweep data prepare dataset=NAME [key=value ...]

check opens every file of a data set and tells what is wrong with it and what repairs it: lists and counts
against the official release, splits that share images, damaged files, labels of another size or encoding.
Exit status 0 without problems, 1 with, 2 for a mistake in the command.
prepare makes the files that some data sets need beyond their release, after saying what it will make.

options of both
  dataset=NAME          {names}
  dataset.root=DIR      the folder that the official archive unpacks to (data_dir=DIR: the folder above it)
  dataset.…             the data set's other options, as for segsweep train
  workers=N             processes (default: the processors there are)

options of check
  partial=false         true: only part of the release was fetched; what is there must be right
  format=table          table or json; json is all that stands on stdout, {{"splits": …, "problems": …}}
  out=FILE              write all that was found to FILE, as .json or else as Markdown

options of prepare
  download=false        true: fetch the official archives first, where that needs no account

examples
  segsweep data check dataset=camvid dataset.root=DIR
  segsweep data check dataset=voc2012 partial=true format=json
  segsweep data prepare dataset=coco_voc data_dir=DIR download=true
"""
SHOWN = 20
"""Problems that a table shows at most."""


def main(arguments: Sequence[str]) -> int:
    """`segsweep data check` and `segsweep data prepare`; the exit status."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(HELP.format(names=" ".join(config_files.choices("dataset"))), end="")
        return 0
    name, *rest = arguments
    commands: dict[str, Callable[[Sequence[str]], int]] = {"check": check, "prepare": prepare}
    if name not in commands:
        raise ConfigError(f"data {name}: no such command; {near(name, commands)}")
    return commands[name](rest)


def check(arguments: Sequence[str]) -> int:
    """Check a data set's files and tell what was found; 1 where there are problems."""
    asked, overrides = _parse(arguments, {"partial": False, "format": "table", "out": None})
    if asked["format"] not in ("table", "json"):
        raise ConfigError(f"format={asked['format']}: {near(asked['format'], ('table', 'json'))}")
    config = _configuration("data check", overrides)
    if config is None:
        return 0
    from segsweep.build import build_dataset
    from segsweep.data.check.check import check as check_files

    height, width = config.size
    with progress_bar("opening files") as on_progress:
        report = check_files(
            build_dataset(config), (height, width), asked["partial"], asked["workers"], on_progress
        )
    if asked["out"]:
        _write(report, Path(asked["out"]))
    if asked["format"] == "json":
        print(json.dumps(report.as_json(), indent=1))
    else:
        _print(report, asked["out"])
    return 1 if report.problems else 0


def prepare(arguments: Sequence[str]) -> int:
    """Fetch archives where asked to, say what is to be made, and make it."""
    asked, overrides = _parse(arguments, {"download": False})
    config = _configuration("data prepare", overrides)
    if config is None:
        return 0
    from segsweep.build import build_dataset
    from segsweep.data import download
    from segsweep.data.prepare import run

    data = build_dataset(config)
    if not data.archives() and data.fetch:
        print(f"{type(data).__name__} is fetched by hand: {data.fetch}")
    elif asked["download"]:
        _download(data)
    elif download.missing(data.archives()):
        print(f"not all archives are unpacked (download=true fetches what needs no account): {data.fetch}")
    preparations = [each for each in data.preparations() if not each.complete]
    if not preparations:
        print(
            f"{type(data).__name__}: nothing to make; segsweep data check tells whether all files are right"
        )
        return 0
    for each in preparations:
        time = _duration(each.seconds(asked["workers"]))
        print(
            f"{each.makes}: {len(each.tasks):,} of {each.files:,} files to make, "
            f"{each.bytes / 2**20:,.0f} MiB, about {time} (processes: {asked['workers']})"
        )
    with progress_bar("making files") as on_progress:
        run(preparations, asked["workers"], on_progress)
    print(f"{type(data).__name__} is prepared")
    return 0


def _parse(arguments: Sequence[str], own: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The command's own options, checked, and what is left for Hydra."""
    defaults = {**own, "workers": len(os.sched_getaffinity(0))}
    mine = [argument for argument in arguments if argument.partition("=")[0] in defaults]
    asked = options.parse(mine, defaults)
    if type(asked["workers"]) is not int or asked["workers"] < 0:
        raise ConfigError(f"workers={asked['workers']}: expected a number of processes, 0 for none but this")
    rest = [argument for argument in arguments if argument not in mine]
    if any(argument in ("-m", "--multirun") for argument in rest):
        raise ConfigError("-m: one data set at a time; leave it out")
    named = [argument.partition("=")[2] for argument in rest if argument.startswith("dataset=")]
    if any("," in name for name in named):
        raise ConfigError(f"dataset={named[0]}: one data set at a time; give a command for each")
    if not named:
        names = ", ".join(config_files.choices("dataset"))
        raise ConfigError(f"dataset=NAME is missing: expected one of {names}")
    return asked, rest


def _configuration(command: str, overrides: Sequence[str]) -> RunConfig | None:
    """Return the configuration that the overrides give; None if Hydra was only asked to print."""
    from segsweep.planning.compose import compose

    members = compose(command, overrides)
    return members[0].config if members else None


def _print(report: "Report", out: str | None) -> None:
    """The tables, then notes and problems, of which the last lines are what is read first."""
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


def _write(report: "Report", path: Path) -> None:
    from segsweep.files import write_bytes

    text = json.dumps(report.as_json(), indent=1) + "\n" if path.suffix == ".json" else report.markdown()
    write_bytes(path, text.encode(), "out=…")


def _download(data: "SegmentationDataset") -> None:
    """Fetch the archives, one line and one bar each."""
    from segsweep.data import download

    for each in download.missing(data.archives()):
        print(f"fetching {each[0].url}, {each[0].size / 2**30:,.1f} GiB, to {each[1]}")
        with progress_bar(each[0].name) as on_progress:
            download.download([each], _nameless(on_progress))


def _nameless(on_progress: Callable[[int, int], None]) -> Callable[[str, int, int], None]:
    """For an archive's progress, whose name stands before the bar."""
    return lambda _name, done, total: on_progress(done, total)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
