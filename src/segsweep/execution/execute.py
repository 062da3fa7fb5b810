"""Execute one run folder in one process or several ranks, from whatever step the run has reached.

Rank 0 holds the run's lease and writes to its folder; the others follow (distributed/group.py).
"""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import torch

from segsweep import failures
from segsweep.config.schema import RunConfig
from segsweep.cores import THREADS, usable_cores
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

    Existing results are not computed again. If another process holds the run, this waits, unless the
    configuration says `wait=false`. If the configuration wants several devices and no rank was started for
    each from outside, this starts them. Only trusted classes are built (trust.py).

    Args:
        folder: The run.
        train: Whether to train; if not, an unfinished run is an error.
        logged: Whether this process's output goes to the run's log already.
        asked: A configuration to test a trained run under; the run's own stays as it is.

    Raises:
        UserError: another process holds the run, or what the parts raise.
        AgainError: memory ran out and the micro-batches were made smaller.
    """
    if not any(name in os.environ for name in THREADS):  # torch sees the affinity, but no control group
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
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
            # While the lease is held, so that a waiting process goes on with the smaller micro-batches.
            if failures.is_out_of_memory(error) and _shrink(folder):
                if group.started_here:
                    raise failures.AgainError(f"run {folder.id}: again with smaller micro-batches") from error
                more = "so it will go on with smaller micro-batches: give the same command again"
                raise UserError(f"run {folder.id}: out of memory, {more}") from error
            raise


def _config(folder: RunFolder, asked: RunConfig | None) -> RunConfig:
    """Return `asked` if the run is done, else the run's own, read again and checked for trust."""
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
        log.info(f"{devices} ranks were started; trainer.devices={wanted} is ignored")
    command = folder.command()
    return group.lead(
        devices,
        gpus(config.trainer.accelerator) > 0,
        command + ([] if train else ["--no-train"]),
        folder.path,
        on_death=lambda failure: folder.update_status(**_ending(folder, failure)),
    )


def _execute(
    folder: RunFolder, train: bool, group: Group, lease: Lease | None, asked: RunConfig | None
) -> None:
    """Train and test on every rank; all use the configuration and status that rank 0 read."""
    leads = lease is not None
    config, status = broadcast((_config(folder, asked), folder.status()) if leads else None)
    with tracked(folder, config) if leads else nullcontext(RunLogger()) as logger:
        if status.state is not State.DONE:
            if not train:
                raise UserError(
                    f"run {folder.id} is not trained yet: give its command to segsweep train first"
                )
            train_run(folder, config, status, group.ranks, lease, logger)
            # Meanwhile another command may have asked for more tests.
            config = broadcast(_config(folder, None) if leads else None)
        run_tests(folder, config, group.ranks)
    if leads and (status.error or status.failure):
        folder.update_status(error=None, failure=None)


def _shrink(folder: RunFolder) -> bool:
    """Split the run's batch into more micro-batches from now on; return False if that is impossible.

    BatchNorm then sees fewer images at a time: status.json and reports record this.
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
    """Record in status.json how the block ended, if by an error."""
    try:
        yield
    except LeaseLostError:
        raise  # the run and its status belong to another process now
    except BaseException as error:
        folder.check_ours()  # the failure may come from another process that went on with the run
        log.debug("the run ended early", exc_info=True)
        with suppress(UserError):  # on a full disk the status cannot be written
            folder.update_status(**_ending(folder, error))
        raise


def _ending(folder: RunFolder, error: BaseException) -> dict[str, object]:
    kind = failures.classify(error)
    state = folder.status().state
    if state is not State.DONE:
        # A planned run that was never started remains planned.
        preempted = State.INTERRUPTED if state is State.RUNNING else state
        state = preempted if kind == failures.PREEMPTED else State.FAILED
    rank = error.rank if isinstance(error, failures.RankFailedError) else 0
    own_log = rank_log(folder.path, rank)
    log_file = own_log if rank and own_log.exists() else folder.log
    return {
        "state": state,
        "error": None if kind == failures.PREEMPTED else failures.one_line(error),
        "failure": RecordedFailure(kind=kind, log=tuple(failures.log_tail(log_file))),
    }


@contextmanager
def _log_file(path: Path, logged: bool) -> Iterator[None]:
    """Copy log lines to log.txt, unless they get there already."""
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
