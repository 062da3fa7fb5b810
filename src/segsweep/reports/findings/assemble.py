"""A report's findings, assembled from run folders and their statistics. Nothing is written here."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from segsweep import __version__
from segsweep.reports.findings.cells import Column, column, plain_cell
from segsweep.reports.findings.fields import Cell, Findings, Protocol, Row, Run
from segsweep.reports.findings.members import Configuration, configurations
from segsweep.reports.findings.network_costs import Costs, network_costs
from segsweep.reports.findings.one_class import remarks_on_cells
from segsweep.reports.findings.protocols import Entry, baseline_of, entries, record, unlike
from segsweep.reports.findings.provenance import ALL_POINTS, MOST_POINTS, run_record
from segsweep.reports.findings.sentences import sentences, summary
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder
from segsweep.statistics.effects import Effect
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import plural


@dataclass(frozen=True)
class Wish:
    """What is asked of a report, besides its runs.

    `baseline` are the ids of the runs that the others are compared with, none for the usual choice. `mixed`
    puts numbers of unlike protocols side by side. `latency` is the device to time the networks on, None for
    none. `quick` leaves out what reads counts, builds networks or looks into single runs: intervals, costs
    and the runs' own records.
    """

    title: str = "segsweep report"
    command: str = "segsweep report"
    baseline: Collection[str] = field(default=())
    mixed: bool = False
    latency: str | None = None
    quick: bool = False


def findings(runs: Sequence[RunFolder], wish: Wish, sweep: Sweep | None = None) -> Findings:
    """Assemble the findings on some runs; of a sweep, what its journal says of them counts too."""
    found = configurations(runs, sweep)
    rows, firsts = entries(found)
    bases = {name: baseline_of([r for r in rows if r.protocol == name], wish.baseline) for name in firsts}
    protocols = [
        record(name, first, base.id if (base := bases[name]) else None) for name, first in firsts.items()
    ]
    strategies = _strategies(rows)
    cells = {row.id: dict[str, Cell]() for row in rows}
    effects: list[Mapping[str, Any]] = []
    left_out: dict[str, None] = {}
    for place, name in enumerate(firsts):
        for strategy in strategies:
            measured = [row for row in rows if row.protocol == name and row.of(strategy)]
            lacking = [row for row in rows if row.protocol == name and not row.of(strategy)]
            made = _column(measured, lacking, strategy, bases[name], wish)
            effects += [effect_of(name, strategy, found) for found in made.effects]
            left_out |= dict.fromkeys(made.left_out)
            for row, cell in zip(measured, made.cells, strict=True):
                cells[row.id][strategy] = cell
            if made.groups:
                protocols[place] = replace(protocols[place], groups=made.groups, caveat=made.caveat)
    costs = Costs() if wish.quick else network_costs(rows, wish.latency)
    by_name = {protocol.id: protocol for protocol in protocols}
    shown = [_row(row, cells[row.id], costs, by_name if wish.mixed else {}) for row in rows]
    return Findings(
        title=wish.title,
        made=time.strftime("%F"),
        segsweep=__version__,
        command=wish.command,
        sentences=tuple(sentences(shown, protocols, strategies)),
        notes=tuple(notes(shown, protocols, wish, [*left_out, *costs.notes], sweep)),
        columns=tuple(found[0].axes) if found else (),
        strategies=tuple(strategies),
        baseline=protocols[0].baseline if protocols else None,
        protocols=tuple(protocols),
        rows=tuple(shown),
        effects=tuple(effects),
        runs={} if wish.quick else _runs(found, shown, sweep),
        mixed=wish.mixed,
        timed=costs.timed,
    )


def _strategies(rows: Sequence[Entry]) -> list[str]:
    names = {result.strategy for row in rows for result in row.results}
    return sorted(names, key=lambda name: (name != "single", len(name), name))


def _column(
    rows: Sequence[Entry], lacking: Sequence[Entry], strategy: str, base: Entry | None, wish: Wish
) -> Column:
    results = [row.of(strategy) for row in rows]
    if wish.quick:
        return Column(tuple(map(plain_cell, results)))
    levels = [
        {key: value for key, value in row.configuration.axes.items() if value != compare.MISSING}
        for row in (*rows, *lacking)
    ]
    return column(results, next((index for index, row in enumerate(rows) if row is base), None), levels)


def effect_of(protocol: str, strategy: str, found: Effect) -> dict[str, Any]:
    """Return an effect as the report has it; `with` is the other change of an interaction."""
    change, given = found.change, found.given
    return {
        "protocol": protocol,
        "strategy": strategy,
        "factor": change.factor,
        "from": change.first,
        "to": change.second,
        "with": given and f"{given.factor}: {given.first} → {given.second}",
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "missing": list(found.missing),
    }


def _row(
    row: Entry,
    cells: Mapping[str, Cell],
    costs: Costs,
    protocols: Mapping[str, Protocol],
) -> Row:
    configuration, folders = row.configuration, [each.folder for each in row.configuration.members]
    params = [member.status.params for member in configuration.members]
    first, own = next(iter(protocols.values()), None), protocols.get(row.protocol or "")
    return Row(
        id=row.id,
        protocol=row.protocol,
        label=configuration.label,
        axes=configuration.axes,
        settings={key: value for key, value in compare.known(folders[0]).items() if key != "seed"},
        state=configuration.state(row.tested),
        states=configuration.states,
        why=configuration.why,
        command=configuration.completion(),
        params=next((number for number in params if number is not None), costs.params.get(row.id)),
        macs=costs.macs.get(row.id),
        latency_ms=costs.latency_ms.get(row.id),
        runs=tuple(folder.id for folder in folders),
        cells=cells,
        remarks=", ".join(filter(None, (compare.remarks_on(folders), *remarks_on_cells(cells)))),
        unlike=unlike(first.card, own.card) if first and own else (),
    )


def _runs(found: Sequence[Configuration], rows: Sequence[Row], sweep: Sweep | None) -> dict[str, Run]:
    members = [member for configuration in found for member in configuration.members]
    row_of = {id: row for row in reversed(rows) for id in row.runs}
    axes = compare.axes([member.folder for member in members])
    events = sweep.journal.states() if sweep else {}
    points = max(10, min(MOST_POINTS, ALL_POINTS // max(1, 2 * len(members))))
    attempts = {id: event.attempt for id, event in events.items()}
    return {
        (id := member.folder.id): run_record(
            member, row_of[id].id, row_of[id].settings, axes, attempts.get(id), points
        )
        for member in members
    }


def notes(
    rows: Sequence[Row],
    protocols: Sequence[Protocol],
    wish: Wish,
    problems: Sequence[str],
    sweep: Sweep | None,
) -> list[str]:
    """Return what a reader has to know of the numbers, beside the sentences."""
    gone, also = (list(sweep.gone), sweep.also) if sweep else ([], {})
    same = {row.label: dict.fromkeys(one for run in row.runs for one in also.get(run, ())) for row in rows}
    apart = (
        "Numbers of unlike protocols stand side by side, as asked; those marked ≠ are not comparable."
        if wish.mixed
        else "Numbers in different tables were measured differently and cannot be compared."
    )
    return [
        f"{summary(rows)}; mIoU in %, mean ± standard deviation over seeds.",
        *([apart] if len(protocols) > 1 else ()),
        *(f"{row.label}: {row.remarks}." for row in rows if row.remarks),
        *(f"{label} is also {', '.join(found)}: the same runs." for label, found in same.items() if found),
        *([f"{plural(len(gone), 'run')} of the sweep were removed: {', '.join(gone)}."] if gone else ()),
        *problems,
    ]
