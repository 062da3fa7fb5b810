"""`segsweep train`: train and test one run, or every member of a sweep or chain.

Hydra's work ends with the composed configuration: training is done by a process that executes one run folder
and does not know the command line.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from segsweep.config.schema import RunConfig
from segsweep.distributed.ranks import Ranks
from segsweep.planning.compose import Request
from segsweep.planning.plan import Member, check_member, note_older, write
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.sweep import Call, train_seconds

HELP = """usage: segsweep train [axis=choice ...] [key=value ...]

Train and test one run, or with -m all combinations of comma-separated values.

{axes}
{options}
examples
  segsweep train head=aspp head.rates=[6,12,18,24] dataset=camvid data_dir=DIR
  segsweep train -m backbone=mobilenetv2,resnet18 'head.rates=[6,12,18],[1,6,12,18,24]' seed=0,1
  segsweep train -m 'loss=cross_entropy,[cross_entropy,dice]' loss.weights.dice=0.5,1
  segsweep train -m +experiments=ksac/table2 data_dir=DIR
"""
log = logging.getLogger("segsweep")


def main(arguments: Sequence[str]) -> int:
    """Train and test what the arguments name; return the exit status."""
    return run("train", arguments)


def run(command: str, arguments: Sequence[str]) -> int:
    """Train and test, or with `test` only test, one run or the members of a sweep; return the exit status."""
    began = time.monotonic()
    request, may_train = Request(command, arguments), command == "train"
    if request.show():
        return 0
    if request.is_sweep:
        return run_sweep(request, may_train)
    (member,) = request.compose().sound()
    execute_run(member.folder, member.config, may_train, partial(check_and_write, member, may_train), began)
    return 0


def run_sweep(request: Request, may_train: bool) -> int:
    """Run a sweep and print its closing report, however it ended; return 1 if a run failed."""
    from segsweep.sweeps.launch import launch

    call = Call(request, may_train)
    try:
        launch(call)
    finally:
        if call.sweep is not None:
            from segsweep.commands.closing import print_closing

            print_closing(call.sweep)
    return 1 if call.sweep is not None and call.sweep.reasons else 0


def check_and_write(member: Member, may_train: bool) -> None:
    """Check a single run and write its folder.

    Raises:
        UserError: if it cannot be built, its data cannot be read, or its folder cannot be written.
    """
    check_member(member, may_train)
    note_older([member])
    if not member.folder.is_complete(member.config):
        from segsweep.distributed.ranks import check_devices

        check_devices(member.config)
    write(member)


def execute_run(
    folder: RunFolder, config: RunConfig, train: bool, make_ready: Callable[[], None], began: float
) -> None:
    """Execute a run in this fresh process and print its results.

    If torchrun or srun started several processes, only rank 0 prepares the folder and reports.

    Args:
        folder: the run.
        config: the configuration that the command asks for.
        train: whether it may be trained.
        make_ready: checks the run and writes its folder.
        began: when the command began, by `time.monotonic`.
    """
    ranks = Ranks.of_environment()
    if ranks.rank > 0:
        from segsweep.execution.execute import execute

        execute(folder, train, asked=config)
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
    if ranks.world > 1 or not done:  # the other ranks wait for rank 0, even if nothing is left to do
        from segsweep.execution.execute import execute

        execute(folder, train, asked=config)
    if not done:
        from segsweep.terminal import took

        log.info(f"done in {took(time.monotonic() - began, train_seconds(folder) - trained_before)}")
    from segsweep.commands.output import print_rows
    from segsweep.commands.runs.list import results_for_people

    if rows := results_for_people(folder):
        print_rows(rows, "table", title=f"run {folder.id}")
