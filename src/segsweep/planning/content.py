"""Which run a configuration is, once its data are looked at: what they hold is part of a run's identity.

The path of a dataset is not, so a corrected copy makes another run and a moved folder the same one. Runs that
were planned by a version that did not look at data are found by their configuration alone.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from segsweep.config.schema import RunConfig
from segsweep.errors import UserError
from segsweep.runs import layout
from segsweep.runs.folder import all_runs
from segsweep.runs.identity import CONTENT, id_of, is_generated

log = logging.getLogger("segsweep")

CROP = [64, 64]
"""A size that stands for all: it changes nothing of which files are read."""


@dataclass(frozen=True)
class Found:
    """The run that a configuration is.

    identity: with the data's content, unless the run is older than that or the data cannot be read.
    unread: why the data cannot be read.
    """

    id: str
    identity: dict[str, Any]
    unread: UserError | None = None


def find(own: dict[str, Any], config: RunConfig, parent: str | None) -> Found:
    """Return the run of an identity without its data: an older one if it exists, else the one of these data.

    Args:
        own: the flat identity of the configuration.
        config: the resolved configuration.
        parent: the id of the stage before.
    """
    older = Found(id_of(own, parent), own)
    if is_generated(own):
        return older
    content = content_of(built_from(config.dataset, config.num_classes), Path.cwd())
    runs_dir = Path(config.runs_dir).absolute()
    if isinstance(content, UserError):
        return find_without_data(older, runs_dir, content)
    whole = dict(sorted({**own, CONTENT: f"sha256:{content}"}.items()))
    found = Found(id_of(whole, parent), whole)
    if config.force or layout.is_run(runs_dir / found.id) or not layout.is_run(runs_dir / older.id):
        return found
    return older


def built_from(dataset: Mapping[str, Any], num_classes: int | None) -> str:
    """Return what a dataset is built from, but for options that change nothing of which files are read."""
    read = {key: value for key, value in dataset.items() if key != "cache"}
    return json.dumps({"dataset": read, "num_classes": num_classes, "size": CROP}, sort_keys=True)


def classes_found(dataset: Mapping[str, Any]) -> int:
    """Return the number of classes of a dataset that finds it in its files.

    Raises:
        UserError: the files cannot be read or understood.
    """
    return _classes_found(built_from(dataset, None), Path.cwd())


@lru_cache(None)
def _classes_found(built_from: str, working_folder: Path) -> int:
    from segsweep.builders import build_dataset  # as below

    return build_dataset(RunConfig.of(json.loads(built_from))).num_classes


@lru_cache(None)
def content_of(built_from: str, working_folder: Path) -> str | UserError:
    """Return the fingerprint of a dataset, read once a process, or why there is none.

    Relative paths begin in the working folder, so that is part of what is remembered.
    """
    from segsweep.builders import build_dataset
    from segsweep.data.dataset import fingerprint  # torch takes seconds to import

    try:
        return fingerprint(build_dataset(RunConfig.of(json.loads(built_from))))
    except UserError as error:
        return error


def find_without_data(older: Found, runs_dir: Path, unread: UserError) -> Found:
    """Return the only run of this configuration, if there is just one; its data cannot be read."""
    modified = runs_dir.stat().st_mtime_ns if runs_dir.is_dir() else 0
    found = runs_by_bare_id(runs_dir, modified).get(older.id, {})
    if len(found) > 1:
        log.warning(
            f"{' and '.join(found)} are runs of one configuration on unlike data, and the data that are "
            "named here cannot be read: none of them is taken"
        )
    if len(found) == 1:
        ((id, identity),) = found.items()
        return Found(id, identity, unread)
    return Found(older.id, older.identity, unread)


@lru_cache(4)
def runs_by_bare_id(runs_dir: Path, modified: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the runs by the id that each would have without its data: their ids with their identities."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run in all_runs(runs_dir):
        identity = dict(run.plan.identity)
        bare = {key: value for key, value in identity.items() if key != CONTENT}
        found.setdefault(id_of(bare, run.plan.parent), {})[run.id] = identity
    return found
