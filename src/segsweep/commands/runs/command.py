"""`segsweep runs`: what is there, one run explained or watched, removal, adoption and verification."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segsweep.commands.options import RUNS_DIR, parse
from segsweep.commands.output import check_format, print_rows
from segsweep.errors import ConfigError, near
from segsweep.runs.folder import RunFolder, all_runs, find_run
from segsweep.runs.lineage import LISTED_STATES, read_statuses

LISTING: dict[str, Any] = {"format": "table", "state": None, "sweep": None, "sort": None, "best": None}
"""The listing's options; any other is a setting that the listed runs must have."""
HELP = """usage: segsweep runs [state=STATE] [sweep=NAME] [sort=COLUMN] [best=N] [key=value ...]
       segsweep runs sweeps
       segsweep runs show ID
       segsweep runs tail ID [lines=20] [follow=true]
       segsweep runs rm ID ...|sweep=NAME [children=true] [yes=true]
       segsweep runs gc [what=all] [yes=true]
       segsweep runs adopt FILE [axis=choice ...] [key=value ...]
       segsweep runs verify [ID ...]

Without a command it lists the runs, a line each: state, what tells them apart, step, time left, mIoU in % (a
test's, or the last validation's if there is none), failure. Settings of the runs filter: head=ksac seed=0,1
On a narrow terminal, columns are left out in this order: holder, train time, test, remarks, error, the axes
from the last to the first, left, stage, failure, step, mIoU; then long text is cut. json and csv have all
columns, and mIoU as a fraction. The first digits of an id are enough everywhere.

commands
  sweeps   list the sweeps: how many of their runs are in which state, and when and where the last event was
  show     all about one run: origin, parent and children, identity, environment, failure, tests
  tail     the end of a run's log.txt; follow=true prints what comes until the run ends (or Ctrl-C)
  rm       remove runs, after asking; a run that is held, or that others start from, is refused. sweep=NAME
           removes a sweep as one: its record, and its runs but for those that another sweep lists too
  gc       list unfinished runs that no sweep mentions, what force=true replaced and what killed processes
           left behind, and remove them after asking
  adopt    bring in weights trained elsewhere (state dict, Lightning checkpoint or safetensors) as a done run,
           its network and data set named as for segsweep train; then segsweep test ID tests it
  verify   check ids, checksums and every file, of all runs or those named; exit status 1 if any is wrong

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv (list, sweeps, show, verify)
  state=STATE        list only these: planned, waiting, running, interrupted, failed or done
  sweep=NAME         list only the runs of a sweep, in its order and with their numbers in it; rm: see above
  sort=COLUMN        by a column as json names it; miou has the highest first
  best=1             list only the N runs of the highest mIoU
  lines=20           tail: how many lines
  follow=false       tail: go on until the run ends
  children=false     rm: remove the runs that start from it as well
  what=all           gc: all, runs, replaced or drafts
  yes=false          rm, gc: do not ask; without a terminal to ask on, gc only lists and rm refuses

examples
  segsweep runs state=failed
  segsweep runs head=ksac seed=0,1 best=1
  segsweep runs tail 3f9c follow=true
  segsweep runs adopt theirs.pth backbone=resnet101 head=aspp dataset=camvid data_dir=DIR
"""


def main(arguments: Sequence[str]) -> int:
    """`segsweep runs …`; the exit status."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    words = [argument for argument in arguments if "=" not in argument]
    options = [argument for argument in arguments if "=" in argument]
    if not words:
        return list_runs([], options)
    name, *rest = words
    if name not in COMMANDS:
        raise ConfigError(f"runs {name}: no such command; {near(name, COMMANDS)}")
    return COMMANDS[name](rest, options)


def list_runs(words: Sequence[str], options: Sequence[str]) -> int:
    """The listing."""
    from segsweep.commands.runs import choice
    from segsweep.commands.runs import list as listing

    own = [option for option in options if option.partition("=")[0] in (*LISTING, "runs_dir")]
    filters = [option for option in options if option not in own]
    asked = _parse(own, **LISTING)
    state, runs_dir = asked["state"], Path(asked["runs_dir"])
    if state is not None and state not in LISTED_STATES:
        raise ConfigError(f"state={state}: {near(state, LISTED_STATES)}")
    best = _best(asked["best"])
    runs = all_runs(runs_dir)
    # Of all of them: whether a run waits is told by another.
    statuses = read_statuses(runs)
    numbers = _numbers(runs_dir, asked["sweep"]) if asked["sweep"] else None
    if numbers is not None:
        runs = sorted((run for run in runs if run.id in numbers), key=lambda run: numbers[run.id])
    chosen = [
        run
        for run in choice.matching(runs, filters, list(LISTING))
        if state in (None, statuses[run.id]["state"])
    ]
    rows = listing.rows(chosen, statuses)
    if numbers is not None:
        rows = [{"number": numbers[row["id"]], **row} for row in rows]
    rows = choice.ordered(rows, asked["sort"], best)
    title = " ".join([f"runs in {runs_dir}", *filters])
    shown = listing.for_people(rows) if asked["format"] == "table" else rows
    print_rows(shown, asked["format"], title=title, first_to_go=listing.first_to_go(shown))
    return 0


def _best(text: str | None) -> int | None:
    if text is not None and not (text.isdigit() and int(text) > 0):
        raise ConfigError(f"best={text}: expected a number of runs, at least 1")
    return None if text is None else int(text)


def _numbers(runs_dir: Path, name: str) -> dict[str, int]:
    from segsweep.sweeps.sweep import Sweep

    return {member["run"]: member["number"] for member in Sweep.read(runs_dir, name).journal.members()}


def sweeps(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs sweeps`."""
    from segsweep.commands.runs import sweeps

    asked = _parse(options, format="table")
    if words:
        raise ConfigError(
            f"runs sweeps {words[0]}: sweeps takes no names; segsweep runs sweep=NAME lists its runs"
        )
    runs_dir = Path(asked["runs_dir"])
    rows = sweeps.rows(runs_dir)
    shown = sweeps.for_people(rows) if asked["format"] == "table" else rows
    print_rows(shown, asked["format"], title=f"sweeps in {runs_dir}")
    return 0


def show(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs show ID`."""
    from segsweep.commands.runs import show

    asked = _parse(options, format="table")
    show.show(_one("show", words, asked), asked["format"])
    return 0


def tail(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs tail ID`."""
    from segsweep.commands.runs import tail

    asked = _parse(options, lines=20, follow=False)
    if type(asked["lines"]) is not int or asked["lines"] < 0:
        raise ConfigError(f"lines={asked['lines']}: expected a number of lines, 0 or more")
    return tail.tail(_one("tail", words, asked), asked["lines"], asked["follow"])


def rm(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs rm ID …`."""
    from segsweep.commands.runs import rm as remove

    asked = _parse(options, sweep=None, children=False, yes=False)
    runs_dir, sweep = Path(asked["runs_dir"]), asked["sweep"]
    if bool(words) == bool(sweep):
        raise ConfigError("runs rm: which? expected ids, or sweep=NAME; segsweep runs lists them")
    if sweep:
        return remove.remove_sweep(runs_dir, sweep, asked["children"], asked["yes"])
    runs = [find_run(runs_dir, word) for word in words]
    return remove.remove(runs, asked["children"], asked["yes"])


def gc(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs gc`."""
    from segsweep.commands.runs import gc as garbage

    asked = _parse(options, what="all", yes=False)
    if words:
        raise ConfigError(f"runs gc {words[0]}: gc takes no ids; segsweep runs rm removes runs by id")
    if asked["what"] not in ("all", *garbage.KINDS):
        raise ConfigError(f"what={asked['what']}: {near(asked['what'], ('all', *garbage.KINDS))}")
    return garbage.collect(Path(asked["runs_dir"]), asked["what"], asked["yes"])


def adopt(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs adopt FILE …`; the options are those of `segsweep train`."""
    from segsweep.commands.runs import adopt

    if len(words) != 1:
        raise ConfigError("runs adopt: expected one file of weights, then the options of segsweep train")
    return adopt.adopt(Path(words[0]), options)


def verify(words: Sequence[str], options: Sequence[str]) -> int:
    """`runs verify [ID …]`."""
    from segsweep.commands.runs import verify

    asked = _parse(options, format="table")
    return verify.verify(Path(asked["runs_dir"]), words, asked["format"])


def _parse(options: Sequence[str], **defaults: Any) -> dict[str, Any]:
    asked = parse(options, {"runs_dir": RUNS_DIR, **defaults})
    for key, default in defaults.items():
        if isinstance(default, bool) and not isinstance(asked[key], bool):
            raise ConfigError(f"{key}={asked[key]}: expected true or false")
    if "format" in defaults:
        check_format(asked["format"])
    return asked


def _one(name: str, words: Sequence[str], asked: dict[str, Any]) -> RunFolder:
    if len(words) != 1:
        raise ConfigError(f"runs {name}: expected one id; segsweep runs lists them")
    return find_run(Path(asked["runs_dir"]), words[0])


COMMANDS: dict[str, Callable[[Sequence[str], Sequence[str]], int]] = {
    "sweeps": sweeps, "show": show, "tail": tail, "rm": rm, "gc": gc, "adopt": adopt, "verify": verify,
}  # fmt: skip
