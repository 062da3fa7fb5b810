"""The parts of a command's help that are not fixed, such as axes, their choices, and options."""

import textwrap
from collections.abc import Callable, Mapping

from segsweep.config import groups as config_files
from segsweep.config.option import Option
from segsweep.config.schema import OPTIONS, UNSET

WIDTH = 110
"""Columns of the help."""

FLAGS = """flags
  -m, --multirun        sweep over comma-separated values; -m is not needed for an experiment that says so
  --cfg job             print the composed configuration, of a chain that of each stage, and do nothing
  hydra.sweeper.rows=[…] members that are no product of axes: a string of overrides each, as
                        ["head=none","head=ksac head.rates=[6,12]"]; each is combined with every axis
  trust=true            with an ID: build any class that the run folder names, not only segsweep's and yours
  hydra/launcher=NAME   who runs a sweep: segsweep (one after the other, the default), pool (all GPUs of
                        this machine), submitit_slurm, joblib …; hydra.launcher.KEY=… sets its options
"""


def filled(template: str) -> str:
    """Return a command's HELP with what `{axes}` and the other names of `PARTS` stand for."""
    for name, part in PARTS.items():
        if name in template:
            template = template.replace(name, part())
    return template


def _axes() -> str:
    axes, defaults = ["axes"], config_files.defaults()
    for group in config_files.GROUPS:
        choices, default = " ".join(config_files.choices(group)), defaults[group] or "null"
        axes.append(f"  {group + '=':<12}{choices}   (default {default})")
    axes.append(f"  {'+experiments=':<12} {' '.join(config_files.choices('experiments'))}")
    return "\n".join(axes) + "\n"


def _options() -> str:
    options = ["options (with their defaults)"]
    options += [line for key, option in OPTIONS.items() for line in _lines(key, option)]
    for group in (g for g in config_files.GROUPS if g not in ("test", "trainer")):
        options.append(f"  {group}.…: {' '.join(sorted(config_files.options(group)))}")
    return "\n".join(
        [*options, "  test.NAME.…: scales flip window stride output_stride crop ensemble", "", FLAGS]
    )


def _datasets() -> str:
    return " ".join(config_files.choices("dataset"))


def _figures() -> str:
    from segsweep.reports.paper_figures import drawing  # reads runs, which no other help needs

    return "\n".join(f"  {name:<15} {line}" for name, line in drawing.lines().items())


def _lines(key: str, option: Option) -> list[str]:
    """Return the lines for an option: its default, and its meaning wrapped to `WIDTH`."""
    default = option.default
    shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else default
    begins = f"  {key}={'…' if default == UNSET else shown}".ljust(39) + " "
    return textwrap.wrap(begins + option.meaning, WIDTH, subsequent_indent=" " * 40)


PARTS: Mapping[str, Callable[[], str]] = {
    "{axes}": _axes,
    "{options}": _options,
    "{datasets}": _datasets,
    "{figures}": _figures,
}
"""What HELP texts can contain, made only if they do."""
