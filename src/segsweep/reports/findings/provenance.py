"""Where a number comes from: everything that a report says of one run."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.reports.findings.fields import Run
from segsweep.reports.findings.members import Member
from segsweep.reports.findings.repeat import command
from segsweep.runs import compare, layout
from segsweep.runs.identity import CONTENT
from segsweep.training.metrics_file import MetricsFile

MOST_POINTS, ALL_POINTS = 200, 40_000
"""Points of a learning curve, and of all curves of a report together, as a page of 1,000 runs has to open."""
STARTED = re.compile(r"^(starting from|continuing|resuming) ", re.MULTILINE)


def run_record(
    member: Member,
    row: str,
    settings: Mapping[str, Any],
    axes: Sequence[str],
    attempts: int | None,
    points: int = MOST_POINTS,
) -> Run:
    """Return what a report says of a run.

    Args:
        member: the run.
        row: the id of its row, and `settings` the row's settings, which are not repeated.
        axes: the options in which the report's runs differ.
        attempts: how often its sweep started it; None if it is in none.
        points: of each learning curve.
    """
    folder, status = member.folder, member.status
    own, environment = compare.known(folder), folder.environment()
    return Run(
        row=row,
        seed=member.seed,
        state=member.standing.state,
        error=status.error or member.standing.why or None,
        command=command([folder]),
        differs={key: value for key, value in compare.values(folder, axes).items() if value is not None},
        settings={key: value for key, value in own.items() if settings.get(key) != value},
        card={name: _own_part(card.plain()) for name, (_, card) in member.tests.items()},
        commit=environment.git_commit if environment else None,
        environment=environment.plain() if environment else None,
        data=_hashes(member),
        seconds=status.train_seconds,
        starts=attempts or _starts(member),
        curves=curves(member, points),
    )


def _own_part(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a protocol card says of the run alone; the rest is the report's protocol."""
    own = ("strategy", "checkpoint", "initial_weights", "segsweep")
    return {key: card[key] for key in own if key in card}


def _hashes(member: Member) -> dict[str, str]:
    """Return the fingerprint of the training data, and the hash of each list of test images."""
    content = member.folder.plan.identity.get(CONTENT)
    lists = {f"{card.dataset} {card.split} list": card.split_hash for _, card in member.tests.values()}
    return {**({"training data": str(content)} if content else {}), **lists}


def _starts(member: Member) -> int | None:
    """Count the starts that a run's log tells of."""
    try:
        return len(STARTED.findall(member.folder.log.read_text("utf-8", errors="replace"))) or None
    except OSError:
        return None


def curves(member: Member, points: int) -> dict[str, tuple[tuple[float, float], ...]]:
    """Return loss and validation mIoU by step, thinned evenly to a number of points, the last one kept."""
    rows = list(MetricsFile.read(member.folder.path / layout.STEPS))
    return {name: _thinned(rows, name, points) for name in ("loss", "val_miou")}


def _thinned(rows: Sequence[Mapping[str, float]], name: str, points: int) -> tuple[tuple[float, float], ...]:
    line = [(int(row["step"]), float(f"{row[name]:.5g}")) for row in rows if name in row]
    stride = max(1, -(-len(line) // points))
    return tuple(line[::-1][::stride][::-1])
