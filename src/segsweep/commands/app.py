"""`segsweep train` and `segsweep test`: Hydra composes, this plans, and the doing follows.

Hydra's own run machinery is left as soon as a configuration is composed: what trains is a process that
executes one run folder and knows nothing of the command line it came from.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.commands import help as help_text
from segsweep.config.groups import root, with_null
from segsweep.distributed.ranks import Ranks
from segsweep.errors import ConfigError, UserError
from segsweep.planning import by_id
from segsweep.planning.arguments import Arguments
from segsweep.planning.explain import explain
from segsweep.planning.plan import Member, check_member, documents, merge, note_older, plan, write
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder, find_run
from segsweep.runs.targets import TRUST
from segsweep.sweeps.launchers.foreign import do_order, is_order
from segsweep.sweeps.sweep import COMMAND, train_seconds

log = logging.getLogger("segsweep")

FLAGS_WITH_A_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i")  # Hydra's: no id follows them

# What Hydra composed for a single run: configuration, choices, overrides.
_single: list[tuple[DictConfig, Any, list[str]]] = []


def train(arguments: Sequence[str]) -> int:
    """Train and test one run, or plan and do a sweep; the exit status."""
    return _run("train", arguments)


def test(arguments: Sequence[str]) -> int:
    """Test runs that are trained: named by id, or by the overrides that trained them."""
    began = time.monotonic()
    flagged = [value for flag, value in pairwise(arguments) if flag in FLAGS_WITH_A_VALUE]
    words = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    ids = [word for word in words if word not in flagged]
    if not ids or "--help" in arguments or "-h" in arguments:
        return _run("test", arguments)
    overrides = [argument for argument in arguments if argument not in (*ids, TRUST)]
    by_id.check_options(overrides)
    if len(ids) > 1 and Ranks.of_environment().world > 1:
        raise ConfigError("segsweep test with several ids under torchrun or srun: give one at a time")
    composed = [a for a in overrides if by_id.chooses(a) or a.startswith("runs_dir=")]
    _run_hydra("test", [*composed, "hydra.run.dir=."])
    asked, *_ = _single.pop()
    folders = [find_run(Path(asked.runs_dir), run_id) for run_id in ids]
    configs = [by_id.configuration(folder, overrides, asked) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        _check_targets(folder, config, overrides, TRUST in arguments)
        _execute(folder, config, False, partial(_check_test, folder, config), began)
        began = time.monotonic()
    return 0


def _check_targets(
    folder: RunFolder, config: dict[str, Any], overrides: Sequence[str], trusted: bool
) -> None:
    """Raise ConfigError if a run names classes that are neither ours nor the user's, unless it is trusted."""
    from segsweep.execution import trust

    folder.allowed |= trust.said(overrides)
    if trusted:
        folder.trust()
    trust.check(folder, config)


def _check_test(folder: RunFolder, config: dict[str, Any]) -> None:
    if folder.status().state is State.DONE and not folder.is_complete(config):
        from segsweep.planning.check import check_test

        check_test(config)


def compose(
    command: str,
    arguments: Sequence[str],
    collect: Callable[[Member], None],
    problem: Callable[[str, UserError], None] | None = None,
) -> None:
    """Hand over what the arguments name, a run or each member of a sweep: nothing is done or written.

    `problem` is told of each member of a sweep that cannot be composed, which is an error without it.
    """
    if _prints_chain(command, arguments):
        return
    COMMAND.collect, COMMAND.problem = collect, problem
    try:
        _run_hydra(command, [*arguments, "hydra.run.dir=."])
        if _single:
            collect(plan(*_single.pop()))
    finally:
        COMMAND.collect = COMMAND.problem = None


def _run(command: str, arguments: Sequence[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        print(help_text.text(command), end="")
        return 0
    COMMAND.may_train, COMMAND.sweeps = command == "train", []
    if _prints_chain(command, arguments):
        return 0
    began = time.monotonic()
    _run_hydra(command, arguments)
    if _single:
        member = plan(*_single.pop())
        _execute(member.folder, member.config, COMMAND.may_train, partial(_check_and_write, member), began)
    return 1 if COMMAND.failed else 0


def _check_and_write(member: Member) -> None:
    check_member(member, COMMAND.may_train)
    note_older([member])
    if not member.folder.is_complete(member.config):
        from segsweep.distributed.ranks import check_devices

        check_devices(member.config)
    write(member)


def _run_hydra(command: str, arguments: Sequence[str]) -> None:
    """Let Hydra compose: a single run ends in `_single`, a sweep or a chain is done by its launcher.

    Raises:
        ConfigError: what Hydra and OmegaConf have against the arguments, in one line.
    """
    given = Arguments.of(arguments)
    COMMAND.forced = given.forced
    sys.argv = [f"segsweep {command}", *given.hydras()]
    try:
        with _errors_raised() as asked_for_traceback:
            hydra.main(version_base="1.3", config_path=str(root() / "conf"), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        if asked_for_traceback:
            raise
        raise explain(error) from error
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}; give a folder you can write as runs_dir=…"
        ) from error
    if _single and _single[-1][0].get("stages"):
        _single.clear()
        _run_hydra(command, ["-m", *arguments])


def _prints_chain(command: str, arguments: Sequence[str]) -> bool:
    """Print the configuration of each stage where `--cfg job` asks for a chain's; Hydra prints any other."""
    words = [w for a in arguments for w in (a.split("=", 1) if a.startswith("--cfg") else [a])]
    flags = [word for word in words if word in ("--cfg", "-c", "job", "--resolve")]
    rest = [word for word in words if word not in flags]
    if flags[:2] not in (["--cfg", "job"], ["-c", "job"]) or not Arguments.of(rest).chain:
        return False
    members: list[Member] = []
    compose(command, rest, members.append)
    print(documents(merge(members)), end="")
    return True


@contextmanager
def _errors_raised() -> Iterator[bool]:
    """Have Hydra raise its errors, which it would print before it exits; whether the user asked for that."""
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield asked is not None
    finally:
        if asked is None:
            del os.environ["HYDRA_FULL_ERROR"]


def task(config: DictConfig) -> str | None:
    """What Hydra calls with each composed configuration.

    A single run is planned here and executed after Hydra is done. Under a launcher that is not ours this
    runs in the launcher's worker, which is given an order to do; returns why that was not done, if so.

    Raises:
        ConfigError: neither sweeper nor launcher are ours, and nobody plans the sweep.
    """
    if is_order(config):
        return do_order(config)
    runtime = HydraConfig.get()
    if runtime.mode == RunMode.MULTIRUN:
        raise ConfigError(
            f"hydra/sweeper={runtime.runtime.choices['hydra/sweeper']} needs a launcher that plans: "
            "hydra/launcher=segsweep, pool or submitit_slurm"
        )
    choices: Any = OmegaConf.to_container(runtime.runtime.choices)
    _single.append((config, choices, [with_null(override) for override in runtime.overrides.task]))
    return None


def _execute(
    folder: RunFolder, config: dict[str, Any], train: bool, make_ready: Callable[[], None], began: float
) -> None:
    """Execute in this process, which is a fresh one; `config` is what the command asks of the run.

    `began` is when the command did, by `time.monotonic`.

    Where torchrun or srun started several, rank 0 alone makes the folder ready and tells of it.
    """
    ranks = Ranks.of_environment()
    if ranks.rank > 0:
        _do(folder, config, train)
        return
    make_ready()
    if done := folder.is_complete(config):
        log.info(
            f"run {folder.id} is done already: trained and tested, nothing to do"
            + (" (force=true trains again)" if train else "; test=[…] names other strategies")
        )
        for path in folder.predictions():
            log.info(f"  predictions in {path}")
    else:
        log.info(f"run {folder.id} in {folder.path}")
    trained_before = train_seconds(folder)
    if ranks.world > 1 or not done:  # the others wait for rank 0, though there be nothing to do
        _do(folder, config, train)
    if not done:
        from segsweep.terminal import took

        log.info(f"done in {took(time.monotonic() - began, train_seconds(folder) - trained_before)}")
    _print_results(folder)


def _do(folder: RunFolder, config: dict[str, Any], train: bool) -> None:
    from segsweep.execution.execute import execute

    execute(folder, train, asked=config)


def _print_results(folder: RunFolder) -> None:
    from segsweep.commands.output import print_rows
    from segsweep.commands.runs.list import results_for_people

    if rows := results_for_people(folder):
        print_rows(rows, "table", title=f"run {folder.id}")
