"""The command line. Imports are late, so that help comes at once."""

import errno
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep import __version__
from segsweep.errors import PreemptedError, UserError, near

if TYPE_CHECKING:
    from segsweep.runs.folder import RunFolder

HELP = """segsweep: ablation sweeps for semantic segmentation

usage: segsweep COMMAND [key=value ...]

commands
  plan     what a training command would do and cost, and all that is wrong with it; nothing is started
  train    train and test a run, or with -m every member of a sweep; what is done is not done again
  test     test trained runs with further strategies: segsweep test ID test=[ms_flip]
  runs     list runs, explain or watch one, remove, adopt or verify
  profile  parameters, MACs, memory and latency of a network or of a sweep's, beside published figures
  data     check a data set's files, or prepare those that its release does not have
  report   a table with pictures of finished runs, or of a paper's table beside them, as Markdown and HTML

examples
  segsweep train backbone=resnet18 head=aspp dataset=camvid data_dir=DIR
  segsweep train -m head=none,aspp,ksac seed=0,1 'test=[single,ms_flip]'
  segsweep report format=csv
  segsweep report ksac/table2

segsweep COMMAND --help tells more. Typing the same command again goes on where it stopped.
"""

EXECUTE_HELP = """usage: segsweep execute FOLDER [--no-train] [trust=true]

Train and test the one run that a folder was planned for, as launchers do. People use segsweep train, whose
command plans the run and goes on with it; segsweep runs lists the folders.
trust=true builds whatever classes the folder names, not only segsweep's and your own.
"""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

ENVIRONMENT = {"SEGSWEEP_RUNS", "SEGSWEEP_DATA", "SEGSWEEP_CONF"}
"""Variables that name folders; where no shell wrote them, a `~` in them is as it was typed."""

Command = Callable[[Sequence[str]], int]


def main() -> None:
    """Run the command that the arguments name and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; a user's mistake is one line on stderr and status 2."""
    log_to_console()
    for name in ENVIRONMENT & os.environ.keys():
        os.environ[name] = expand_home(os.environ[name])
    try:
        return _dispatch([expand_home(argument) for argument in arguments])
    except UserError as error:
        from segsweep.failures import USER_STATUS, AgainError, one_line

        if isinstance(error, AgainError):
            _start_again()
        print(f"segsweep: {one_line(error)}", file=sys.stderr)
        # As a shell reports a process that a signal ended.
        return 128 + error.signum if isinstance(error, PreemptedError) else USER_STATUS
    except BrokenPipeError:
        # Whoever read the output has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(
            f"segsweep: {error.filename or 'a file'} could not be written ({error.strerror}): free space or "
            "give another folder, then the same command again",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("segsweep: interrupted; the same command goes on from what is saved", file=sys.stderr)
        return 130


def expand_home(text: str) -> str:
    """`~/runs` or `key=~/runs`, quoted or not, with the home folder for the `~`, as a shell has it."""
    return re.sub(r"^([\w.+]+=)?([\"']?)~(?=/|$)", lambda m: f"{m[1] or ''}{m[2]}{Path.home()}", text)


def _start_again() -> None:
    """The same command from the start: only a fresh process has all its memory back."""
    # What `force` asked for is done: the run begun anew.
    arguments = [a for a in sys.orig_argv[1:] if not a.lstrip("+").startswith("force=")]
    os.execv(sys.executable, [sys.executable, *arguments])


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"segsweep {__version__}")
        return 0
    commands: dict[str, Command] = {
        "plan": _plan,
        "train": _train,
        "test": _test,
        "runs": _runs,
        "profile": _profile,
        "data": _data,
        "report": _report,
        "execute": _execute,
    }
    name, *rest = arguments
    if name not in commands:
        raise UserError(f"{name}: no such command; {near(name, commands.keys() - {'execute'})}")
    return commands[name](rest)


def _plan(arguments: Sequence[str]) -> int:
    from segsweep.commands import plan as plan_command

    return plan_command.main(arguments)


def _train(arguments: Sequence[str]) -> int:
    from segsweep.commands import app

    return _closed(app.train, arguments)


def _test(arguments: Sequence[str]) -> int:
    from segsweep.commands import app

    return _closed(app.test, arguments)


def _closed(command: Command, arguments: Sequence[str]) -> int:
    """Run a command that may be a sweep, and close each sweep with its tables, however it ended."""
    from segsweep.sweeps.sweep import COMMAND

    try:
        return command(arguments)
    finally:
        for sweep in COMMAND.sweeps:
            from segsweep.commands.closing import print_closing

            print_closing(sweep)


def _runs(arguments: Sequence[str]) -> int:
    from segsweep.commands import runs

    return runs.main(arguments)


def _profile(arguments: Sequence[str]) -> int:
    from segsweep.commands import profile as command

    return command.main(arguments)


def _data(arguments: Sequence[str]) -> int:
    from segsweep.commands import data as data_command

    return data_command.main(arguments)


def _report(arguments: Sequence[str]) -> int:
    from segsweep.commands import report

    return report.main(arguments)


def _execute(arguments: Sequence[str]) -> int:
    """What launchers start: execute one run folder that has been planned (not for people)."""
    from segsweep.distributed.parent_death import end_with_parent
    from segsweep.failures import failure_in
    from segsweep.runs.folder import RunFolder
    from segsweep.runs.targets import unspelled
    from segsweep.sweeps.worker import ASKED, ATTACHED, FAILURE

    if not arguments or "--help" in arguments or "-h" in arguments:
        print(EXECUTE_HELP, end="")
        return 0 if arguments else 2
    folder = RunFolder(Path(arguments[0]), unspelled(arguments))
    attached = [a for a in arguments if a.startswith(ATTACHED)]
    if attached:
        end_with_parent(parent=int(attached[0].removeprefix(ATTACHED)))
    told = [Path(a.removeprefix(FAILURE)) for a in arguments if a.startswith(FAILURE)]
    asked = [json.loads(a.removeprefix(ASKED)) for a in arguments if a.startswith(ASKED)]
    with failure_in(told[0] if told else None):
        return _execute_folder(folder, arguments, asked[0] if asked else None, attached=bool(attached))


def _execute_folder(
    folder: "RunFolder", arguments: Sequence[str], asked: "Mapping[str, Any] | None", attached: bool
) -> int:
    from segsweep.runs.lease import LeaseLostError
    from segsweep.runs.targets import TRUST
    from segsweep.sweeps.worker import HELD, LOGGED

    if not (folder.path / "plan.json").is_file():
        raise UserError(f"{folder.path}: no planned run (expected a folder with a plan.json)")
    if TRUST in arguments:
        folder.trust()

    from segsweep.execution.execute import execute  # takes seconds, in which another process may take the run

    if attached and folder.holder() is not None:
        return HELD
    try:
        execute(folder, train="--no-train" not in arguments, logged=LOGGED in arguments, asked=asked)
    except LeaseLostError:
        if not attached:
            raise
        return HELD  # its launcher waits for whoever has it now
    return 0


def log_to_console() -> None:
    """Messages go to stderr: stdout is for results."""
    log = logging.getLogger("segsweep")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    # A log line that cannot be written, as on a full disk, is no reason for a traceback.
    logging.raiseExceptions = False
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.INFO)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
