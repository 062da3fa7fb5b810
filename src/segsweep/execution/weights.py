"""Which weights a test reads: those of the run, and in an ensemble those of other runs too."""

from pathlib import Path
from typing import Any

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.execution import trust
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder, find_run
from segsweep.runs.layout import BEST, LAST


def tested_checkpoint(folder: RunFolder, config: RunConfig) -> Path:
    """Return the checkpoint that a configuration tests; raise UserError if it is not there."""
    which = BEST if config.checkpoint.test == "best" else LAST
    path = folder.checkpoints / which
    if not path.is_file():
        raise UserError(
            f"{path}: the weights that checkpoint.test={config.checkpoint.test} names are not there"
        )
    return path


def trained_checkpoint(folder: RunFolder, config: RunConfig) -> Path:
    """Return the weights that a configuration tests; raise UserError if the run is not trained."""
    state = folder.status().state
    if state is not State.DONE:
        raise UserError(f"run {folder.id} is {state}, not done: its training command goes on")
    return tested_checkpoint(folder, config)


def with_whole_ids(config: RunConfig, tested: str) -> RunConfig:
    """Return a configuration that tests run `tested` with whole ids in its ensembles, so a test has one name.

    Raises:
        UserError: there is no such run.
        OptionError: an ensemble with the run itself, or with one run twice.
    """
    return RunConfig.of(
        {**config, "test": {key: _with_whole_ids(config, key, tested) for key in config.test}}
    )


def _with_whole_ids(config: RunConfig, key: str, tested: str) -> dict[str, Any]:
    given = builders.build(config.test, key).ensemble
    ids = [find_run(Path(config.runs_dir), id).id for id in given]
    if len({tested, *ids}) <= len(ids):
        expected = f"different runs, other than {tested}, which is tested with them"
        raise OptionError(f"test.{key}.ensemble", list(given), expected)
    return {**config.test[key], **({"ensemble": ids} if ids else {})}


def trained_run(config: RunConfig, id: str) -> tuple[RunConfig, Path]:
    """Return the configuration and checkpoint of another run, for an ensemble with one that `config` tests.

    Raises:
        UserError: there is no such run, it is not done, or it knows other classes; ConfigError if what it
            names is not trusted.
    """
    folder = find_run(Path(config.runs_dir), id)
    weights = trained_checkpoint(folder, config)
    other = folder.config()
    trust.check(folder, other)
    ours, theirs = (builders.build_dataset(one).classes for one in (config, other))
    if ours != theirs:
        raise ConfigError(
            f"test: ensemble with run {folder.id}: it was trained for other classes "
            f"({', '.join(theirs[:3])}, …); name runs on one dataset"
        )
    return other, weights
