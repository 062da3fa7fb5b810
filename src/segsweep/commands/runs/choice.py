"""The choice of runs that `segsweep runs` lists: filters by any override, order, the best ones."""

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, UserError, as_typed, near
from segsweep.runs.compare import known
from segsweep.runs.folder import RunFolder, all_runs, find_run
from segsweep.runs.settings import canonical, flatten

log = logging.getLogger("segsweep")

HIGHEST_FIRST = ("miou",)
Row = dict[str, Any]


def matching(runs: Sequence[RunFolder], filters: Sequence[str], options: Iterable[str]) -> list[RunFolder]:
    """Return the runs that have all of these settings, each `key=value` or `key=value,value`.

    `options` are the listing's own, as a key may be a mistyped one of them.

    Raises:
        ConfigError: if no run has such a key.
    """
    found = list(runs)
    for key, _, wanted in (text.partition("=") for text in filters):
        having = {run.id: _values(run, key) for run in runs}
        names = {*options, *(name for run in runs for name in known(run))}
        if not runs:  # accept a key that some run could have
            names |= {*config_files.GROUPS, *config_files.options("")}
        if not any(having.values()) and (runs or key.partition(".")[0] not in names):
            raise ConfigError(f"{key}: no option of runs, and no run here has it; {near(key, names)}")
        # Values are separated by commas outside brackets.
        alternatives = {_plain(value) for value in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", wanted) or [""]}
        found = [run for run in found if having[run.id] & alternatives]
    return found


def queried(runs_dir: Path, query: str) -> list[RunFolder]:
    """Return the runs of a folder that a query means, as `chosen`; `sweep=NAME` may be one of its words.

    Raises:
        UserError: no run is meant; the message names what there is.
    """
    words = _words(query)
    sweeps = [word for word in words if word.startswith("sweep=")]
    runs = runs_of(runs_dir, sweeps[-1].partition("=")[2] if sweeps else None)
    return chosen(runs, " ".join(word for word in words if word not in sweeps))


def runs_of(runs_dir: Path, sweep: str | None) -> list[RunFolder]:
    """Return the runs of a sweep, or all runs if none is named."""
    if not sweep:
        return all_runs(runs_dir)
    from segsweep.sweeps.sweep import Sweep  # imports Hydra, which takes long for a list

    return Sweep.read(runs_dir, sweep).runs


def chosen(runs: Sequence[RunFolder], query: str, options: Iterable[str] = ("sweep",)) -> list[RunFolder]:
    """Return the runs that a query means: ids or their beginnings, and settings as in `matching`.

    Words are separated by spaces outside brackets: `head=aspp head.rates=[6, 12, 18]`.

    Raises:
        ConfigError: if no run is meant; the message names what there is.
    """
    words = _words(query)
    found = list(runs)
    if ids := [word for word in words if "=" not in word]:
        found = [_with_id(runs, id) for id in ids]
    for word in (word for word in words if "=" in word):
        before, found = found, matching(found, [word], options)
        if not found:
            key = word.partition("=")[0]
            there = sorted({value for run in before for value in _values(run, key)})
            among = f" among those with {' '.join(words[: words.index(word)])}" if words.index(word) else ""
            raise ConfigError(f"{word}: no run{among}; {key} is {', '.join(there) or 'not set'}")
    return found


def _words(query: str) -> list[str]:
    return re.findall(r"(?:\[[^\]]*\]|[^\s\[])+", query)


def _with_id(runs: Sequence[RunFolder], id: str) -> RunFolder:
    matches = [run for run in runs if run.id.startswith(id)]
    if len(matches) != 1:
        found = f"{len(matches)} runs have" if matches else "no run here has"
        raise ConfigError(f"{id}: {found} an id that begins so; segsweep runs lists them")
    return matches[0]


def _values(run: RunFolder, key: str) -> set[str]:
    """Return a run's values of a key: from its identity and its overrides, else from its configuration."""
    settings = known(run)
    values = {as_typed(canonical(settings[key]))} if key in settings else set()
    for name, equals, value in (override.lstrip("+").partition("=") for override in run.plan.overrides):
        if name == key and equals:
            values.add(_plain(value))
    if values:
        return values
    try:
        config = dict(flatten(run.config()))  # slow, and only needed for options outside the identity
    except UserError as error:
        log.warning(f"left out: {error}")
        return set()
    return {as_typed(canonical(config[key]))} if key in config else set()


def _plain(text: str) -> str:
    """Return one spelling for equal values: `0.001` for `1e-3`, and `[6,12]` for `[6, 12]`."""
    try:
        return as_typed(canonical(float(text)))
    except ValueError:
        pass
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return as_typed(canonical(value)) if isinstance(value, list | bool) or value is None else text


def ordered(rows: list[Row], by: str | None, best: int | None) -> list[Row]:
    """Return the rows sorted by a column (`miou`: highest first), only the `best` first ones if given.

    Raises:
        ConfigError: if there is no such column.
    """
    key = by or ("miou" if best else None)
    if key is None or not rows:
        return rows
    if key not in rows[0]:
        raise ConfigError(f"sort={key}: no such column; {near(key, rows[0])}")
    there = [row for row in rows if row[key] is not None]
    there.sort(key=lambda row: _weight(row[key]), reverse=key in HIGHEST_FIRST)
    if best is None:
        return [*there, *(row for row in rows if row[key] is None)]
    if len(kinds := {row["measured"] for row in there if row["miou"] is not None}) > 1:
        log.warning(
            f"these mIoU are not measured alike: {', '.join(sorted(kinds))} ('val' is the validation's)"
        )
    return there[:best]


def _weight(value: Any) -> tuple[bool, Any]:
    """Return a key that sorts numbers before text."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else as_typed(value)


def one_run(command: str, words: Sequence[str], runs_dir: str) -> RunFolder:
    """Return the run whose id begins with the only word.

    Raises:
        ConfigError: if there is not exactly one word.
        UserError: if no run or several runs have such an id.
    """
    if len(words) != 1:
        raise ConfigError(f"runs {command}: expected one id; segsweep runs lists them")
    return find_run(Path(runs_dir), words[0])
