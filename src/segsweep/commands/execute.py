"""`segsweep execute`: execute one run folder that has been planned; launchers start it, people do not."""

import json
from collections.abc import Sequence
from pathlib import Path

from segsweep.config.schema import RunConfig
from segsweep.errors import UserError
from segsweep.failures import failure_in
from segsweep.processes import end_with_parent
from segsweep.runs.folder import RunFolder
from segsweep.runs.layout import is_run
from segsweep.runs.lease import LeaseLostError
from segsweep.runs.targets import TRUST, unspelled
from segsweep.sweeps.worker import ASKED, ATTACHED, FAILURE, HELD, LOGGED

HELP = """usage: segsweep execute FOLDER [--no-train] [trust=true]

Train and test the one run that a folder was planned for, as launchers do. People use segsweep train, which
plans the run and continues it; segsweep runs lists the folders.
trust=true builds any class that the folder names, not only segsweep's and your own.
"""


def main(arguments: Sequence[str]) -> int:
    """Execute the run; return the exit status, HELD if another process is working on it."""
    if not arguments:
        print(HELP, end="")
        return 2
    folder = RunFolder(Path(arguments[0]), unspelled(arguments))
    attached = [a for a in arguments if a.startswith(ATTACHED)]
    if attached:
        end_with_parent(parent=int(attached[0].removeprefix(ATTACHED)))
    reports = [Path(a.removeprefix(FAILURE)) for a in arguments if a.startswith(FAILURE)]
    with failure_in(reports[0] if reports else None):
        return execute_folder(folder, arguments, attached=bool(attached))


def execute_folder(folder: RunFolder, arguments: Sequence[str], attached: bool) -> int:
    """Execute the run as the arguments say; return the exit status.

    Raises:
        UserError: if the folder was not planned, or if the run raises it.
        LeaseLostError: if another process took the run, and no launcher waits for it.
    """
    if not is_run(folder.path):
        raise UserError(f"{folder.path}: no planned run (expected a folder with a plan.json)")
    if TRUST in arguments:
        folder.trust()

    from segsweep.execution.execute import (
        execute,
    )  # takes seconds; meanwhile another process may take the run

    if attached and folder.holder() is not None:
        return HELD
    asked = [RunConfig.of(json.loads(a.removeprefix(ASKED))) for a in arguments if a.startswith(ASKED)]
    try:
        may_train, config = "--no-train" not in arguments, asked[0] if asked else None
        execute(folder, train=may_train, logged=LOGGED in arguments, asked=config)
    except LeaseLostError:
        if not attached:
            raise
        return HELD  # the launcher waits for the new holder
    return 0
