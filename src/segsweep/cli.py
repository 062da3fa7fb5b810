"""The command line. Imports are late, so that help comes at once."""

import errno
import logging
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from segsweep import __version__
from segsweep.cores import wait_passively
from segsweep.errors import PreemptedError, UserError, near
from segsweep.imports import import_lightly

HELP = """segsweep: ablation sweeps for semantic segmentation

usage: segsweep COMMAND [key=value ...]

commands
  plan     what a training command would do and cost, and every mistake in it; nothing is started
  train    train and test a run, or with -m every member of a sweep; finished runs are not repeated
  test     test trained runs, or exported files, with further strategies: segsweep test ID test=[ms_flip]
  predict  masks, overlays and areas of your own images and videos: segsweep predict ID photos/
  runs     list runs, explain or watch one, remove, adopt or verify
  profile  parameters, MACs, memory and latency of a network or of a sweep's, beside published figures
  data     check a dataset's files, or prepare those that its release lacks
  report   what runs show, with intervals and comparisons, as a page, Markdown, LaTeX and CSV
  compare  whether one configuration is better than another one, and by more than noise
  figure   a paper's figure from trained runs: feature maps, predictions side by side, accuracy against speed
  export   a trained network in a form that others read: segsweep export ID format=onnx
  reproduce  train a finished run again and say whether it is equal, within noise or not
  wandb    upload what logger=wandb kept offline: segsweep wandb sync

examples
  segsweep train backbone=resnet18 head=aspp dataset=camvid data_dir=DIR
  segsweep train -m head=none,aspp,ksac seed=0,1 'test=[single,ms_flip]'
  segsweep report format=csv
  segsweep report ksac/table2
  segsweep compare 'head=none' 'head=aspp head.rates=[6,12,18]'

segsweep COMMAND --help tells more. The same command, given again, continues where it stopped.
"""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

ENVIRONMENT = {"SEGSWEEP_RUNS", "SEGSWEEP_DATA", "SEGSWEEP_CONF"}
"""Variables that name folders; a `~` in them is expanded here if no shell has done so."""

COMMANDS = (
    "plan",
    "train",
    "test",
    "predict",
    "runs",
    "profile",
    "data",
    "report",
    "compare",
    "figure",
    "export",
    "reproduce",
    "wandb",
    "execute",
)
"""Each is a module of `segsweep.commands` with HELP and `main`; `execute` is for launchers alone."""
FOLDERS = ("runs",)
"""Those that have commands of their own, and print a help for each."""


def main() -> None:
    """Run the command that the arguments name and exit with its status."""
    wait_passively()
    import_lightly()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its status; a user's mistake becomes one line on stderr and status 2."""
    log_to_console()
    for name in ENVIRONMENT & os.environ.keys():
        os.environ[name] = expand_home(os.environ[name])
    try:
        return dispatch([expand_home(argument) for argument in arguments])
    except UserError as error:
        from segsweep.failures import USER_STATUS, AgainError, one_line

        if isinstance(error, AgainError):
            # Only a fresh process gets all its memory back. `force` is dropped: the run has been restarted.
            again = [a for a in sys.orig_argv[1:] if not a.lstrip("+").startswith("force=")]
            os.execv(sys.executable, [sys.executable, *again])
        print(f"segsweep: {one_line(error)}", file=sys.stderr)
        # The status by which a shell reports a process that was ended by a signal.
        return 128 + error.signum if isinstance(error, PreemptedError) else USER_STATUS
    except BrokenPipeError:
        # The reader of the output has exited, as in `| head`.
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
    """Replace the `~` in `~/runs` or `key=~/runs`, quoted or not, by the home folder, as a shell does."""
    return re.sub(r"^([\w.+]+=)?([\"']?)~(?=/|$)", lambda m: f"{m[1] or ''}{m[2]}{Path.home()}", text)


def dispatch(arguments: Sequence[str]) -> int:
    """Import the named command's module, run it and return the exit status.

    Raises:
        UserError: if there is no such command, or if the command raises it.
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
    module = import_module(f"segsweep.commands.{name}")
    if name not in FOLDERS and {"-h", "--help"} & set(rest):
        print(import_module("segsweep.commands.help").filled(module.HELP), end="")
        return 0
    status: int = module.main(rest)
    return status


def log_to_console() -> None:
    """Send log messages to stderr: stdout is for results."""
    log = logging.getLogger("segsweep")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    # A log line that cannot be written, for example on a full disk, must not cause a traceback.
    logging.raiseExceptions = False
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.INFO)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
