"""Parameters and MACs of the networks of a report, counted on torch's meta device, each network once.

A network is built from the run's own configuration. If that names a class that neither segsweep nor the
user's configuration folder names, nothing is built: a run folder may come from somebody else.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from segsweep.errors import UserError
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import configured, foreign

log = logging.getLogger("segsweep")

MOST_NETWORKS = 48
"""Networks that are counted for a report; each takes some tenths of a second."""


class Size(NamedTuple):
    """Parameters at inference, and multiply-accumulates of inference on one image."""

    params: int
    macs: float


def count(runs: Mapping[str, tuple[RunFolder, tuple[int, int]]]) -> tuple[dict[str, Size], list[str]]:
    """Count networks by row.

    Args:
        runs: a run of each row, and the (height, width) of an image.

    Returns:
        The size by row, without rows whose network could not be counted, and notes.
    """
    by_network: dict[str, list[str]] = {}
    for row, (run, size) in runs.items():
        by_network.setdefault(repr((_network(run.plan.identity), size)), []).append(row)
    found: dict[str, Size] = {}
    problems: list[str] = []
    for rows in list(by_network.values())[:MOST_NETWORKS]:
        run, size = runs[rows[0]]
        try:
            found |= dict.fromkeys(rows, _count(run, size))
        except Exception as error:  # a user's own class may raise anything
            problems.append(f"MACs of {run.id} are not counted: {' '.join(str(error).split())}")
    if len(by_network) > MOST_NETWORKS:
        problems.append(f"MACs are counted of the first {MOST_NETWORKS} of {len(by_network)} networks.")
    return found, problems


def _network(identity: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the options that a network is built from, without those that only its training needs."""
    parts = ("backbone", "head", "num_classes")
    return [(key, value) for key, value in identity.items() if key.partition(".")[0] in parts]


def _count(run: RunFolder, size: Sequence[int]) -> Size:
    """Count one network; raise UserError if it names classes that are not trusted."""
    config = run.config()
    if unknown := foreign({part: config[part] for part in ("backbone", "head")}) - configured():
        raise UserError(f"it names {', '.join(sorted(unknown))}, which segsweep does not build here")
    from segsweep.profiling.size import macs, on_meta, parameters  # torch, if there is something to count

    network = on_meta(config)
    parts = parameters(network)
    return Size(parts["encoder"] + parts["head"], macs(network, size))
