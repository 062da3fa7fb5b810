"""The command line. Imports are late, so that help comes at once."""

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from segsweep import __version__
from segsweep.errors import PreemptedError, UserError, near

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

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

ENVIRONMENT = {"SEGSWEEP_RUNS", "SEGSWEEP_DATA", "SEGSWEEP_CONF"}
"""Variables that name folders; where no shell wrote them, a `~` in them is as it was typed."""

COMMANDS = ("plan", "train", "test", "runs", "profile", "data", "report", "execute")
"""Each is a module of `segsweep.commands` with `main`; `execute` is for launchers, not for people."""


def main() -> None:
    """Run the command that the arguments name and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; a user's mistake is one line on stderr and status 2."""
    log_to_console()
    for name in ENVIRONMENT & os.environ.keys():
        os.environ[name] = expand_home(os.environ[name])
    try:
        return dispatch([expand_home(argument) for argument in arguments])
    except UserError as error:
        from segsweep.failures import USER_STATUS, AgainError, one_line

        if isinstance(error, AgainError):
            # The same command from the start, as only a fresh process has all its memory back. What `force`
            # asked for is done: the run has begun again.
            again = [a for a in sys.orig_argv[1:] if not a.lstrip("+").startswith("force=")]
            os.execv(sys.executable, [sys.executable, *again])
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


def dispatch(arguments: Sequence[str]) -> int:
    """Import the module of the command that the arguments name, and run it; return the exit status.

    Raises:
        UserError: there is no such command, or what the command raises.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"segsweep {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise UserError(f"{name}: no such command; {near(name, COMMANDS[:-1])}")
    main_of: Callable[[Sequence[str]], int] = import_module(f"segsweep.commands.{name}").main
    return main_of(rest)


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
