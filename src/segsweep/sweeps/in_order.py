"""Execute members that a command planned itself, in order, each in a fresh process on this machine."""

import sys
from collections.abc import Sequence

from segsweep.planning.plan import Member, write_all
from segsweep.sweeps.devices import one_at_a_time
from segsweep.sweeps.display import Display
from segsweep.sweeps.jobs import jobs_of
from segsweep.sweeps.launchers.launcher import check_alone
from segsweep.sweeps.launchers.local import LocalWork
from segsweep.sweeps.live import LiveTable
from segsweep.sweeps.sweep import Sweep


def execute_members(members: Sequence[Member]) -> Sweep:
    """Write the runs' folders, train and test what is missing, and return the sweep that they are.

    Raises:
        UserError: a folder cannot be written.
        PreemptedError, KeyboardInterrupt: a signal came; given again, the runs go on.
    """
    check_alone()
    sweep = Sweep.of(members)
    write_all(members)
    sweep.write(members)
    display = LiveTable(sweep) if sys.stderr.isatty() else Display(sweep)
    jobs = jobs_of(members, single=True)
    LocalWork(sweep, jobs, one_at_a_time(), display, train=True, on_failure="stop").do()
    return sweep
