"""The configurations that a report is about: all runs but for the seed, and how far each one is.

Runs that failed, were interrupted or never ran belong to it as much as finished ones. An earlier stage of a
chain does not, unless it was tested itself: its weights were needed, and not its figures.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from segsweep.errors import ConfigError
from segsweep.reports.findings.repeat import SEED, command
from segsweep.runs import compare
from segsweep.runs.contents import Card, Metrics, State, Status
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import LEFT_OUT, Event
from segsweep.runs.lineage import read_statuses, source
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import plural

DONE, NOT_TESTED = "done", "not tested"


class Standing(NamedTuple):
    """How far a run is, in a word and in a sentence for people."""

    state: str
    why: str = ""


@dataclass(frozen=True)
class Member:
    """One run of a report with its tests, by their folders' names."""

    folder: RunFolder
    status: Status
    standing: Standing
    tests: Mapping[str, tuple[Metrics, Card]]

    @property
    def seed(self) -> str:
        """Its seed, as text."""
        return str(self.folder.plan.identity.get(SEED, 0))


@dataclass(frozen=True)
class Configuration:
    """Runs that are equal but for the seed, with their values on the report's axes."""

    axes: dict[str, str]
    members: tuple[Member, ...]

    @property
    def label(self) -> str:
        """What tells it apart, in words: `aspp rates [6,12,18]`; a run's id if nothing does."""
        shown = {key: value for key, value in self.axes.items() if value != compare.MISSING}
        words = [f"{key.rpartition('.')[2]} {v}" if "." in key else v for key, v in shown.items()]
        return " ".join(words) or self.members[0].folder.id

    def state(self, tested: int) -> str:
        """Return how far it is if `tested` of its runs were: `done`, `2 of 3 seeds`, or its runs' states."""
        if tested == len(self.members):
            return DONE
        if tested:
            return f"{tested} of {plural(len(self.members), SEED)}"
        states = self.states
        return next(iter(states)) if len(states) == 1 else ", ".join(f"{n} {s}" for s, n in states.items())

    @property
    def states(self) -> Counter[str]:
        """How many of its runs are in which state."""
        return Counter(member.standing.state for member in self.members)

    @property
    def why(self) -> str:
        """Why runs have no result: each reason once, with the seeds that it holds for."""
        seeds: dict[str, list[str]] = defaultdict(list)
        for member in self.members:
            if member.standing.why:
                seeds[member.standing.why].append(member.seed)
        if len(self.members) == 1:
            return "".join(seeds)
        return "; ".join(f"{SEED} {','.join(found)}: {why}" for why, found in seeds.items())

    def completion(self) -> str | None:
        """Return the command that trains and tests what is missing; None if nothing is."""
        lacking = [member.folder for member in self.members if member.standing.state != DONE]
        return command(lacking) if lacking else None


def configurations(runs: Sequence[RunFolder], sweep: Sweep | None = None) -> list[Configuration]:
    """Group runs by all but the seed, in the order in which they are given, seeds in ascending order."""
    tests = {run.id: run.read_tests() for run in runs}
    used = {source(run) for run in runs}
    shown = [run for run in runs if run.id not in used or tests[run.id]]
    axes = [axis for axis in compare.axes(shown) if axis != SEED]
    statuses, events = read_statuses(runs), sweep.journal.states() if sweep else {}
    groups: dict[tuple[str, ...], list[Member]] = defaultdict(list)
    for run in shown:
        status = statuses[run.id]
        where = standing(run, statuses, events.get(run.id), bool(tests[run.id]))
        groups[tuple(compare.describe(run, axes).values())].append(Member(run, status, where, tests[run.id]))
    return [
        Configuration(dict(zip(axes, key, strict=True)), tuple(sorted(found, key=_by_seed)))
        for key, found in groups.items()
    ]


def the_configuration(runs: Sequence[RunFolder], query: str) -> Configuration:
    """Return the one configuration that all these runs are of.

    Raises:
        ConfigError: they are of several; the message names what differs.
    """
    found = configurations(runs)
    if len(found) == 1:
        return found[0]
    axes = [axis for axis in (found[0].axes if found else ()) if len({f.axes[axis] for f in found}) > 1]
    values = {axis: list(dict.fromkeys(each.axes[axis] for each in found)) for axis in axes}
    differ = "; ".join(f"{axis} is {', '.join(some)}" for axis, some in values.items())
    choice = f", such as {axes[0]}={values[axes[0]][-1]}" if axes else ""
    raise ConfigError(f"{query}: {len(found)} configurations ({differ}); add what chooses one{choice}")


def _by_seed(member: Member) -> tuple[int, str]:
    return len(member.seed), member.seed


def standing(
    run: RunFolder, statuses: Mapping[str, Status], event: Event | None, is_tested: bool
) -> Standing:
    """Return how far a run is, and why it has no result."""
    status = statuses[run.id]
    if status.state is State.DONE and not status.error and (is_tested or run.yields()):
        return Standing(DONE)
    noted = (event.reason if event else None) or ""
    if event is not None and event.state is LEFT_OUT:
        return Standing(str(LEFT_OUT), noted)
    at = f"step {status.step} of {run.plan.max_steps}"
    parent = statuses.get(source(run) or "")
    if parent is not None and parent.state is not State.DONE:
        reason = f": {parent.error}" if parent.error else ""
        return Standing(str(status.state), f"its parent {source(run)} is {parent.state}{reason}")
    words = {
        State.PLANNED: noted or "never started",
        State.RUNNING: f"at {at}",
        State.INTERRUPTED: f"stopped at {at}",
        State.DONE: "trained, not tested",
    }
    state = NOT_TESTED if status.state is State.DONE else str(status.state)
    return Standing(state, status.error or words.get(status.state, noted))
