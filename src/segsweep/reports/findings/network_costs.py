"""What the networks of a report cost: parameters, MACs and, if asked for, latency, each network once.

Parameters and MACs are counted on torch's meta device. A network is built from the run's own configuration.
If that names a class that neither segsweep nor the user's configuration folder names, nothing is built: a run
folder may come from somebody else.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from segsweep.config.schema import NETWORK, RunConfig
from segsweep.errors import UserError
from segsweep.reports.findings.protocols import Entry
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import configured, foreign
from segsweep.terminal import plural

log = logging.getLogger("segsweep")

MOST_NETWORKS = 48
"""Networks that are counted for a report; each takes some tenths of a second."""
MOST_TIMED = 24
"""Networks that are timed for a report: all are in memory at once, and each takes some seconds."""


class Network(NamedTuple):
    """A network of a report: the rows that have it, a run of theirs, and the (height, width) of an image."""

    rows: list[str]
    run: RunFolder
    size: tuple[int, int]


@dataclass(frozen=True)
class Costs:
    """Costs by row, without rows whose network could not be built, and notes on these.

    `params` are those at inference, `macs` the multiply-accumulates of inference on one image, `latency_ms`
    the milliseconds that it takes; `timed` says on which machine and how, None if nothing was timed.
    """

    params: Mapping[str, int] = field(default_factory=dict)
    macs: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    timed: str | None = None
    notes: Sequence[str] = ()


def network_costs(rows: Sequence[Entry], device: str | None = None) -> Costs:
    """Count the networks of a report's rows and, on a device if one is given, time them."""
    params: dict[str, int] = {}
    macs: dict[str, float] = {}
    notes: list[str] = []
    found, counted = networks(rows), []
    for network in found[:MOST_NETWORKS]:
        try:
            number, operations = _count(network)
        except Exception as error:  # a user's own class may raise anything
            nor = "" if device is None else ", nor is its latency measured"
            notes.append(f"MACs of {network.run.id} are not counted{nor}: {_one_line(error)}")
            continue
        counted.append(network)
        params |= dict.fromkeys(network.rows, number)
        macs |= dict.fromkeys(network.rows, operations)
    if len(found) > MOST_NETWORKS:
        notes.append(f"MACs are counted of the first {MOST_NETWORKS} of {len(found)} networks.")
    if device is None or not counted:
        return Costs(params, macs, notes=notes)
    if len(found) > MOST_TIMED:
        notes.append(f"Latency is measured of the first {MOST_TIMED} of {len(found)} networks.")
    try:
        latency_ms, timed = _time(counted[:MOST_TIMED], device)
    except (UserError, RuntimeError) as error:  # such as too little memory for all of them
        return Costs(params, macs, notes=[*notes, f"Latency is not measured: {_one_line(error)}"])
    return Costs(params, macs, latency_ms, timed, [*notes, f"Latency: {timed}."])


def networks(rows: Sequence[Entry]) -> list[Network]:
    """Return the distinct networks, at the size of their tests' images, or else of their training's."""
    found: dict[str, Network] = {}
    for row in rows:
        run = row.configuration.members[0].folder
        sizes = row.results[0].card.image_sizes if row.results else ()
        size = run.plan.identity.get("size")
        if not isinstance(sizes, str) and len(sizes) == 1:
            size = [*map(int, reversed(sizes[0].split("x")))]
        if isinstance(size, list) and len(size) == 2:
            key = repr((_options(run.plan.identity), size))
            found.setdefault(key, Network([], run, (size[0], size[1]))).rows.append(row.id)
    return list(found.values())


def _options(identity: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the options that a network is built from, without those that only its training needs."""
    return [(key, value) for key, value in identity.items() if key.partition(".")[0] in NETWORK]


def _trusted(run: RunFolder) -> RunConfig:
    """Return a run's configuration; raise UserError if its network names classes that are not trusted."""
    config = run.config()
    if unknown := foreign({part: config.get(part) for part in NETWORK}) - configured():
        raise UserError(f"it names {', '.join(sorted(unknown))}, which segsweep does not build here")
    return config


def _count(network: Network) -> tuple[int, float]:
    config = _trusted(network.run)
    from segsweep.profiling.size import macs, on_meta, parameters  # torch, if there is something to count

    built = on_meta(config)
    parts = parameters(built)
    return parts["encoder"] + parts["head"], macs(built, network.size)


def _time(some: Sequence[Network], device: str) -> tuple[dict[str, float], str]:
    from segsweep.profiling.latency import of_images

    log.info(f"timing {plural(len(some), 'network')} in turn on {device}; latency=null leaves it out")
    milliseconds, how = of_images([(_trusted(network.run), network.size) for network in some], device)
    found = {row: ms for network, ms in zip(some, milliseconds, strict=True) for row in network.rows}
    sizes = dict.fromkeys(f"{width}x{height}" for _, _, (height, width) in some)
    return found, f"median of inference on an image of {', '.join(sizes)}, {how}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
