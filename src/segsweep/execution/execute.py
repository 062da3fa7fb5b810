"""Doing: a process, or several ranks together, execute one run folder, from wherever the run stands.

Rank 0 holds the run and writes what is to be written of it; the others follow (distributed/group.py).
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from segsweep import failures
from segsweep.config.schema import RunConfig
from segsweep.distributed.children import rank_log
from segsweep.distributed.collectives import broadcast
from segsweep.distributed.group import Group
from segsweep.distributed.ranks import check_devices, devices_wanted, gpus, processes
from segsweep.errors import UserError
from segsweep.execution.test import run_tests
from segsweep.execution.tracking import tracked
from segsweep.execution.train import train as train_run
from segsweep.execution.trust import check as check_targets
from segsweep.runs.contents import RecordedFailure, State
from segsweep.runs.folder import RunFolder
from segsweep.runs.layout import remove_drafts
from segsweep.runs.lease import Lease, LeaseLostError
from segsweep.training.loggers import RunLogger

log = logging.getLogger("segsweep")


def execute(
    folder: RunFolder, train: bool = True, logged: bool = False, asked: RunConfig | None = None
) -> None:
    """Train the run to its end and test it with the strategies that its configuration names.

    What is there already is not done again. With `train=False` an unfinished run is an error. A run that is
    held by another process is waited for, where its configuration says `wait`. Where the configuration wants
    several devices, and nothing outside started a rank for each, this starts them. `logged` says that the
    process's output is in the run's log already. `asked` is a configuration to test the run under if it is
    trained already: nothing is written into its own then. Only classes that may be built are (trust.py).

    Raises:
        UserError: another process holds the run, or what the parts raise.
        AgainError: memory ran out and the micro-batches were made smaller.
    """
    group = Group()
    if group.ranks.rank > 0:
        with group.follow():
            _execute(folder, train, group, None, asked)
        return
    wait = _config(folder, asked).wait
    with folder.hold(wait=wait) as lease, _log_file(folder.log, logged):
        remove_drafts(folder.path)
        try:
            with _recorded(folder), _all_ranks(folder, train, group, asked):
                _execute(folder, train, group, lease, asked)
        except Exception as error:
            # While the run is held: whoever waits for it takes it up with the smaller micro-batches.
            if failures.is_out_of_memory(error) and _shrink(folder):
                raise _again(folder, group) from error
            raise


def _config(folder: RunFolder, asked: RunConfig | None) -> RunConfig:
    """What is asked of a run that is done, else the run's own: another command may have renewed it.

    Raises:
        ConfigError: it names classes that may not be built.
    """
    done = folder.status().state is State.DONE
    config = asked if asked is not None and done else folder.config()
    check_targets(folder, config)
    return config


def _all_ranks(
    folder: RunFolder, train: bool, group: Group, asked: RunConfig | None
) -> AbstractContextManager[None]:
    config = _config(folder, asked)
    wanted, devices = config.trainer.devices, group.ranks.world
    if devices == 1:
        check_devices(config)
        devices = devices_wanted(config)
    elif devices != wanted:
        log.info(f"{devices} ranks were started; trainer.devices={wanted} is left aside")
    command = folder.command()
    return group.lead(
        devices,
        gpus(config.trainer.accelerator) > 0,
        command + ([] if train else ["--no-train"]),
        folder.path,
        on_death=lambda failure: folder.update_status(**_ending(folder, failure)),
    )


def _execute(
    folder: RunFolder,
    train: bool,
    group: Group,
    lease: Lease | None,
    asked: RunConfig | None,
) -> None:
    """The same on all ranks; rank 0's reading of configuration and status is everybody's."""
    leads = lease is not None
    config, status = broadcast((_config(folder, asked), folder.status()) if leads else None)
    with tracked(folder, config) if leads else nullcontext(RunLogger()) as logger:
        if status.state is not State.DONE:
            if not train:
                raise UserError(
                    f"run {folder.id} is not trained yet: give its command to segsweep train first"
                )
            train_run(folder, config, status, group.ranks, lease, logger)
            # Another command may ask for more tests by now.
            config = broadcast(_config(folder, None) if leads else None)
        run_tests(folder, config, group.ranks)
    if leads and (status.error or status.failure):
        folder.update_status(error=None, failure=None)


def _again(folder: RunFolder, group: Group) -> UserError:
    if group.started_here:
        return failures.AgainError(f"run {folder.id}: again with smaller micro-batches")
    return UserError(
        f"run {folder.id}: out of memory, so it will go on with smaller micro-batches: give the same command "
        "again"
    )


def _shrink(folder: RunFolder) -> bool:
    """Have the run take half its micro-batch from now on, at the same effective batch; False if it cannot.

    BatchNorm then sees fewer images at a time: a fact about the run, which status.json and reports tell.
    """
    config, status = folder.config(), folder.status()
    images, accumulate = config.batch_size, config.trainer.accumulate_grad_batches
    devices = processes(config)
    now = status.shrunk_to or accumulate
    more = [n for n in range(now + 1, images + 1) if n % now == 0 and images % (n * devices) == 0]
    if config.trainer.on_oom != "shrink" or status.state is State.DONE or not more:
        return False
    log.warning(f"out of memory: {more[0]} micro-batches a step in place of {now}, {images} images as before")
    folder.update_status(shrunk_to=more[0])
    return True


@contextmanager
def _recorded(folder: RunFolder) -> Iterator[None]:
    """Have status.json say how it ended."""
    try:
        yield
    except LeaseLostError:
        raise  # the run is another process's now, and so is its status
    except BaseException as error:
        folder.check_ours()  # what failed may have failed because another process went on with the run
        log.debug("the run ended early", exc_info=True)
        with suppress(UserError):  # on a full disk the status stays as it was
            folder.update_status(**_ending(folder, error))
        raise


def _ending(folder: RunFolder, error: BaseException) -> dict[str, object]:
    kind = failures.classify(error)
    state = folder.status().state
    if state != "done":
        # A planned run that was never started is planned still.
        preempted = State.INTERRUPTED if state == "running" else state
        state = preempted if kind == failures.PREEMPTED else State.FAILED
    return {
        "state": state,
        "error": None if kind == failures.PREEMPTED else failures.one_line(error),
        "failure": RecordedFailure(kind=kind, log=tuple(failures.log_tail(_said(folder, error)))),
    }


def _said(folder: RunFolder, error: BaseException) -> Path:
    """The log of the rank that failed, where it has one of its own."""
    rank = error.rank if isinstance(error, failures.RankFailedError) else 0
    own = rank_log(folder.path, rank)
    return own if rank and own.exists() else folder.log


@contextmanager
def _log_file(path: Path, logged: bool) -> Iterator[None]:
    """Copy what is logged to log.txt, unless it gets there already."""
    if logged:
        yield
        return
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()
