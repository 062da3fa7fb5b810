"""What one should know of a run before its numbers stand beside others."""

from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.runs.contents import Status
from segsweep.runs.folder import RunFolder


def facts(run: RunFolder, status: Status) -> dict[str, Any]:
    """Micro-batches a step since memory ran out, batches dropped for a NaN loss, hash of adopted weights."""
    return {
        "shrunk_to": status.shrunk_to,
        "dropped_batches": status.dropped_batches,
        "adopted": run.plan.identity.get("adopted"),
    }


def in_words(known: Mapping[str, Any]) -> list[str]:
    """The same in words; nothing for an ordinary run."""
    return [
        *([f"{known['shrunk_to']} micro-batches for want of memory"] if known["shrunk_to"] else ()),
        *([f"{known['dropped_batches']} batches dropped"] if known["dropped_batches"] else ()),
        *(["adopted"] if known["adopted"] else ()),
    ]


def of_runs(runs: Sequence[RunFolder]) -> str:
    """The remarks on the runs of a table's row, each once."""
    found = [remark for run in runs for remark in in_words(facts(run, run.status()))]
    return ", ".join(dict.fromkeys(found))
