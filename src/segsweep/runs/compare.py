"""How runs differ: the axes that distinguish them, and remarks that matter when comparing their results."""

from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.errors import as_typed
from segsweep.runs.contents import Status
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import CONTENT

MISSING = "–"


def axes(runs: Sequence[RunFolder]) -> list[str]:
    """Return the keys that differ among runs: groups by their choice, then single options.

    An option is listed only if two runs of the same choice differ in it: that KSAC has atrous rates and the
    baseline has none follows from `head`.
    """
    choices = [{**run.plan.choices, "stage": run.plan.stage} for run in runs]
    groups = [group for group in _ordered(choices) if len({c.get(group) for c in choices}) > 1]
    identities = [run.plan.identity for run in runs]
    options = [key for key in _ordered(identities) if _differs_within_choice(key, runs)]
    found = groups + [key for key in options if key not in groups]
    return found + [key for key in _of_earlier_stages(runs) if key not in found]


def _of_earlier_stages(runs: Sequence[RunFolder]) -> list[str]:
    """Return differing options of earlier stages, `STAGE.key`, unless the runs' own differ likewise."""
    lineages = [_lineage(run) for run in runs if run.plan.parent]
    return [
        key
        for key in _ordered(lineages)
        if len({as_typed(found[key]) for found in lineages if key in found}) > 1
        and any(
            _lineage(run)[key] != run.plan.identity.get(key.partition(".")[2])
            for run in runs
            if key in _lineage(run)
        )
    ]


def _lineage(run: RunFolder) -> dict[str, Any]:
    return {
        f"{stage}.{key}": value
        for stage, identity in run.plan.lineage.items()
        for key, value in identity.items()
    }


def describe(run: RunFolder, keys: Sequence[str]) -> dict[str, str]:
    """Return the run's value on each axis, as text."""
    return {key: MISSING if v is None else as_typed(v) for key, v in values(run, keys).items()}


def label(run: RunFolder, keys: Sequence[str]) -> str:
    """Return one line that distinguishes a run from others: `head=ksac head.rates=[6,12,18] seed=0`."""
    return " ".join(f"{key}={value}" for key, value in describe(run, keys).items() if value != MISSING)


def values(run: RunFolder, keys: Sequence[str]) -> dict[str, Any]:
    """Return the run's value on each axis, for programs; None if the run has no such option."""
    settings = known(run)
    return {key: settings.get(key) for key in keys}


def known(run: RunFolder) -> dict[str, Any]:
    """Return everything that defines a run: options of earlier stages, its own, choices and stage."""
    return {**_lineage(run), **run.plan.identity, **run.plan.choices, "stage": run.plan.stage}


def _ordered(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _differs_within_choice(key: str, runs: Sequence[RunFolder]) -> bool:
    group = key.split(".")[0]
    values: dict[Any, set[str]] = {}
    for run in runs:
        if key == CONTENT and key not in run.plan.identity:
            continue  # an older run, whose data are not known
        choice = run.plan.choices.get(group)
        values.setdefault(choice, set()).add(as_typed(run.plan.identity.get(key, MISSING)))
    return any(len(seen) > 1 for seen in values.values())


def remarks(run: RunFolder, status: Status) -> dict[str, Any]:
    """Return micro-batches per step after memory ran out, batches dropped for a NaN loss, adopted weights."""
    return {
        "shrunk_to": status.shrunk_to,
        "dropped_batches": status.dropped_batches,
        "adopted": run.plan.identity.get("adopted"),
    }


def remarks_in_words(known: Mapping[str, Any]) -> list[str]:
    """Return remarks as words; an ordinary run has none."""
    return [
        *([f"{known['shrunk_to']} micro-batches for want of memory"] if known["shrunk_to"] else ()),
        *([f"{known['dropped_batches']} batches dropped"] if known["dropped_batches"] else ()),
        *(["adopted"] if known["adopted"] else ()),
    ]


def remarks_on(runs: Sequence[RunFolder]) -> str:
    """Return the remarks on the runs of a table's row, each once."""
    found = [remark for run in runs for remark in remarks_in_words(remarks(run, run.status()))]
    return ", ".join(dict.fromkeys(found))
