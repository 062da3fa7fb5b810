"""`segsweep test`: test trained runs, named by id or by the overrides that trained them."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from segsweep.commands.train import execute_run, run
from segsweep.config.schema import RunConfig
from segsweep.distributed.ranks import Ranks
from segsweep.errors import ConfigError
from segsweep.planning import by_id
from segsweep.planning.compose import Request
from segsweep.planning.hydra_private import parse_flags
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder, find_run
from segsweep.runs.targets import TRUST

HELP = """usage: segsweep test [ID ...|FILE] [axis=choice ...] [key=value ...]

Test trained runs with further strategies, named by id or by the overrides that trained them.

FILE is a network that segsweep export wrote. It is measured as its run was: on the test split of its dataset,
or on split=…, with dataset.root=… where that lies, by the strategies that its run was tested by there, or by
test=…; figures, protocol cards and counts of each image go into FILE.tests/STRATEGY, or below out=DIR, in the
files that a run's tests have. device=cuda computes on a GPU if the file can.

{axes}
{options}
examples
  segsweep test 3f9c2a test=[ms_flip]
  segsweep test -m head=aspp,ksac 'test=[flip,ms]'
  segsweep test network.onnx dataset.root=DIR 'test=[single,ms_flip]'
"""


def main(arguments: Sequence[str]) -> int:
    """Test what the arguments name; return the exit status."""
    ids = [word for word in parse_flags("test", arguments).overrides if "=" not in word]
    if any(Path(word).exists() for word in ids):
        from segsweep.commands.test_file import test_file

        return test_file(ids, [a for a in arguments if a not in ids])
    return test_by_id(ids, [a for a in arguments if a not in ids]) if ids else run("test", arguments)


def test_by_id(ids: Sequence[str], arguments: Sequence[str]) -> int:
    """Test runs under their own configurations, with the test options that the arguments give.

    Raises:
        ConfigError: if an argument would not change how a run is tested, or a class is not trusted.
        UserError: if there is no such run, or it is not trained.
    """
    began = time.monotonic()
    overrides = [argument for argument in arguments if argument != TRUST]
    by_id.check_options(overrides)
    if len(ids) > 1 and Ranks.of_environment().world > 1:
        raise ConfigError("segsweep test with several ids under torchrun or srun: give one at a time")
    chosen = Request("test", [o for o in overrides if by_id.chooses(o) or o.startswith("runs_dir=")]).settings
    folders = [find_run(Path(chosen.runs_dir), run_id) for run_id in ids]
    configs = [by_id.configuration(folder, overrides, chosen) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        check_targets(folder, config, overrides, TRUST in arguments)
        execute_run(folder, config, False, partial(check_test, folder, config), began)
        began = time.monotonic()
    return 0


def check_targets(folder: RunFolder, config: RunConfig, overrides: Sequence[str], trusted: bool) -> None:
    """Raise ConfigError if an untrusted run names classes that are neither ours nor the user's."""
    from segsweep.execution import trust

    folder.allowed |= by_id.named_classes(overrides)
    if trusted:
        folder.trust()
    trust.check(folder, config)


def check_test(folder: RunFolder, config: RunConfig) -> None:
    """Raise UserError if what an unfinished test needs cannot be built."""
    if folder.status().state is State.DONE and not folder.is_complete(config):
        from segsweep.planning import dry_build

        dry_build.check_test(config)
