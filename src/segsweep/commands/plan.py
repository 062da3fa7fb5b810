"""`segsweep plan`: what a training command would do, before anything is written or started.

Axes and experiments are those of `segsweep train`, and the members are composed and checked as there; but
all problems are reported at once, and a missing dataset hides no other problem.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.commands import options
from segsweep.commands.output import check_format, print_rows
from segsweep.errors import OptionError, UserError
from segsweep.terminal import cell

if TYPE_CHECKING:  # torch takes seconds to import, and help does not need it
    from segsweep.planning.plan import Member
    from segsweep.profiling.outlook import Outlook

HELP = """usage: segsweep plan [axis=choice ...] [key=value ...]

Print what `segsweep train` would do with these arguments, and its cost; nothing is started.

{axes}
options of plan
  format=table          table, json or csv; json has the runs, the sums and the problems, csv the runs
  tflops=10             10^12 operations a second that a GPU sustains, two a MAC; an assumption: give your own
  gpus=N                adds the days that N GPUs take, at least
  configs=true          adds the resolved configuration of each run, and of each stage of a chain

{options}
examples
  segsweep plan -m head=none,aspp,ksac seed=0,1,2 dataset=camvid data_dir=DIR gpus=4
  segsweep plan -m +experiments=ksac/table1 data_dir=DIR format=json
"""
# A conservative value for convolutions on a data centre's GPU; docs/papers.md assumes the same.
DEFAULTS: Mapping[str, Any] = {"format": "table", "tflops": 10.0, "gpus": None, "configs": False}
TABLE = ("id", "run", "parent", "state", "steps", "images", "params_m", "memory_gib", "gpu_hours", "by")
FIRST_TO_GO = ("parent", "by", "images")
"""Columns to leave out on a narrow terminal, in order."""
NOTES = """
memory_gib is an estimate of what a training step takes on one device: weights, gradients, optimizer state,
moving average, activations kept for the backward pass, logits at the loss. Workspaces of convolutions and
CUDA's own come on top. gpu_hours are of training alone: measured where runs of the same network, crop and
batch are done, else estimated as 3 × the forward pass's MACs × 2 operations × images, at tflops={tflops:g},
which light networks do not reach."""
LEAST_HOURS = 0.001
MANY = 3  # the most members that are named for a problem


@dataclass
class Problem:
    """A problem, and the members that have it."""

    message: str
    members: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        others = len(self.members) - MANY
        named = ", ".join(self.members[:MANY]) + (f" and {others} more" if others > 0 else "")
        return f"{named}: {self.message}"


class Problems:
    """The problems of a plan, each message once."""

    def __init__(self) -> None:
        self.found: dict[str, Problem] = {}

    def add(self, member: str, error: UserError) -> None:
        """Add a problem of a member."""
        problem = self.found.setdefault(str(error), Problem(str(error)))
        if member not in problem.members:  # a member may have it in several stages
            problem.members.append(member)


def main(arguments: Sequence[str]) -> int:
    """Print what the arguments would train, and its problems; return 2 if there are any."""
    own, others = options.split(arguments, DEFAULTS)
    asked = _parse(own)
    problems = Problems()
    from segsweep.planning.compose import Request

    request = Request("plan", others)
    if request.show():
        return 0
    composed = request.compose()
    members = [member for member in composed.members if member is not None]
    for words, error in composed.problems:
        problems.add(words, error)
    from segsweep.profiling.forecast import paces
    from segsweep.profiling.outlook import Outlook

    sound = _check(members, problems)
    runs_dir = Path(members[0].config.runs_dir) if members else Path()
    outlook = Outlook(sound, paces(runs_dir) if sound else {}, asked["tflops"])
    _print(outlook, len(composed.members), list(problems.found.values()), asked)
    return 2 if problems.found else 0


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    asked = options.parse(arguments, DEFAULTS)
    check_format(asked["format"])
    tflops = asked["tflops"]
    if isinstance(tflops, bool) or not isinstance(tflops, int | float) or not tflops > 0:
        raise OptionError("tflops", tflops, "a number above 0")
    if asked["gpus"] is not None:
        if not asked["gpus"].isdigit() or int(asked["gpus"]) < 1:
            raise OptionError("gpus", asked["gpus"], "a number of GPUs, at least 1")
        asked["gpus"] = int(asked["gpus"])
    return asked


def _check(members: "Sequence[Member]", problems: Problems) -> "list[Member]":
    """Note problems; return the members whose runs can be built, even if their data is missing."""
    from segsweep.planning import dry_build
    from segsweep.planning.compose import distinct

    sound = []
    for member, words in zip(members, distinct([member.overrides for member in members]), strict=True):
        errors: list[tuple[UserError, bool]] = []  # each with whether only files are missing
        for stage in member.lineage():
            done = stage.folder.is_complete(stage.config) and not stage.config.force
            if not done:
                errors += dry_build.problems(stage.config)
            if stage.found.unread is not None and (stage is member or not done):
                errors.append((stage.found.unread, True))
        for error, _ in errors:
            problems.add(words, error)
        if all(only_files for _, only_files in errors):
            sound.append(member)
    return sound


def _print(outlook: "Outlook", members: int, problems: Sequence[Problem], asked: Mapping[str, Any]) -> None:
    totals, rows = {**outlook.totals(asked["gpus"]), "members": members}, outlook.rows()
    if asked["format"] == "json":
        same = [[" ".join(overrides) for overrides in some] for some in outlook.duplicates()]
        found = [asdict(problem) for problem in problems]
        if asked["configs"]:
            rows = [
                {**row, "config": run.member.config.content}
                for row, run in zip(rows, outlook.runs, strict=True)
            ]
        content = {"runs": rows, "totals": totals, "duplicates": same, "problems": found}
        json.dump(content, sys.stdout, indent=1)
        print()
        return
    if asked["format"] == "csv":
        print_rows(rows, "csv", columns=list(rows[0]) if rows else TABLE)
    else:
        columns = [column for column in TABLE if any(row[column] not in (None, "") for row in rows)]
        shown = [{**row, "gpu_hours": _hours(row["gpu_hours"])} for row in rows]
        print_rows(shown, "table", "nothing is written or started", columns or TABLE, FIRST_TO_GO)
        for key, value in totals.items():
            rounded = _hours(value) if key.endswith("_hours") else cell(value)
            print(f"  {key:<20} {value:,}" if isinstance(value, int) else f"  {key:<20} {rounded}")
        for some in outlook.duplicates():
            print(f"  one run: {' | '.join(' '.join(overrides) for overrides in some)}")
        print(NOTES.format(tflops=asked["tflops"]))
        if asked["configs"]:
            from segsweep.planning.plan import documents

            print(documents([run.member for run in outlook.runs]), end="")
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)


def _hours(hours: float | None) -> str:
    """Return hours as text; below `LEAST_HOURS`, `<0.001` instead of a power of ten."""
    return cell(hours) if not hours or hours >= LEAST_HOURS else f"<{LEAST_HOURS}"
