"""`segsweep runs`: list, show, watch, remove, adopt and verify runs; one module per command.

All commands work on files; only `adopt` needs the modules that plan and train runs.
"""

from collections.abc import Sequence
from importlib import import_module

from segsweep.errors import OptionError

HELP = """usage: segsweep runs [state=STATE] [sweep=NAME] [sort=COLUMN] [best=N] [key=value ...]
       segsweep runs COMMAND ...

Without a command it lists the runs, one a line: state, what tells them apart, step, time left, mIoU in % (a
test's, or the last validation's if there is none), failure. Settings of the runs filter: head=ksac seed=0,1
On a narrow terminal, columns are left out in this order: holder, train time, test, remarks, error, the axes
from the last to the first, left, stage, failure, step, mIoU; then long text is cut. json and csv have all
columns, and mIoU as a fraction. The first digits of an id are enough everywhere.

commands (more with segsweep runs COMMAND --help)
  sweeps   list the sweeps: how many of their runs are in which state, and when and where the last event was
  show     all about one run: origin, parent and children, identity, environment, failure, tests
  tail     the end of a run's log.txt; follow=true prints what is added until the run ends (or Ctrl-C)
  rm       remove runs, or a sweep with its runs, after asking
  gc       remove what nothing refers to any longer, after asking
  adopt    turn weights that were trained elsewhere into a run that is done
  verify   check ids, checksums and every file, of all runs or those named

options of the list
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv
  state=STATE        only these: planned, waiting, running, interrupted, failed or done
  sweep=NAME         only the runs of a sweep, in its order and with their numbers in it
  sort=COLUMN        by a column as json names it; miou has the highest first
  best=1             only the N runs of the highest mIoU

examples
  segsweep runs state=failed
  segsweep runs head=ksac seed=0,1 best=1
  segsweep runs tail 3f9c follow=true
  segsweep runs adopt theirs.pth backbone=resnet101 head=aspp dataset=camvid data_dir=DIR
"""
COMMANDS = ("list", "sweeps", "show", "tail", "rm", "gc", "adopt", "verify")


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first word names, or list the runs; return the exit status."""
    words = [argument for argument in arguments if "=" not in argument]
    wants_help = bool({"--help", "-h"} & set(words))
    names = [word for word in words if word not in ("--help", "-h")]
    if not names and wants_help:
        print(HELP, end="")
        return 0
    name = names[0] if names else "list"
    if name not in COMMANDS:
        raise OptionError(f"runs {name}", problem="no such command", near=COMMANDS)
    command = import_module(f"{__name__}.{name}")
    if wants_help:
        print(command.HELP, end="")
        return 0
    rest = [*arguments]  # `list` is a module here
    if names:
        rest.remove(name)
    status: int = command.main(rest)
    return status
