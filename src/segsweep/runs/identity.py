"""Which run a configuration is.

The id is a hash of everything that can change the trained weights, and of nothing else: another machine, more
loader processes or another way of testing finds the same run. Every field of the shipped configuration is in
exactly one of the two lists below, most by config/schema.py; a test checks that.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config.class_source import class_constant
from segsweep.config.path_options import path_options
from segsweep.config.schema import GROUPS, OPTIONS
from segsweep.errors import ConfigError
from segsweep.files import digest
from segsweep.runs.contents import State
from segsweep.runs.folder import find_run
from segsweep.runs.layout import LAST
from segsweep.runs.settings import canonical, flatten
from segsweep.runs.versions import IDENTITY_VERSION, class_name, with_echoes

ID_LENGTH = 12
UNCHANGING = "changes_training"
"""An attribute of a user's callback class: False if it changes no weight, so that it does not count."""

IDENTITY = (
    *(group for group, counts in GROUPS.items() if counts and group != "trainer"),
    *(key for key, option in OPTIONS.items() if option.identity),
    "adopted",  # the hash of weights that were trained elsewhere
)

CONTENT = "dataset.content"
"""The fingerprint of a run's data: a part of its identity that no option sets (planning/content.py)."""
NAME = "dataset.name"
AUXILIARY = ("head.aux", "head.aux_weights", "head.aux_target")
GENERATED = ("Shapes",)
"""Datasets without files, which their options determine."""

# A longer name wins over a shorter one. The paths of a dataset's files are not identity either: its class
# declares them, see config/path_options.py.
NOT_IDENTITY = (
    NAME,
    "dataset.release_size",
    "dataset.test_images",
    "head.impl",  # results differ by rounding, as between devices
    *(group for group, counts in GROUPS.items() if not counts),
    *(key for key, option in OPTIONS.items() if not option.identity),
    "checkpoint",
)


def run_id(config: Mapping[str, Any], parent: str | None = None) -> str:
    """Return the id of a resolved configuration, 12 hexadecimal digits; a stage's depends on its parent."""
    return id_of(identity(config), parent)


def id_of(identity: Mapping[str, Any], parent: str | None = None, version: int = IDENTITY_VERSION) -> str:
    """Return the id that a version of segsweep gives to an identity, as stored in a run's plan."""
    content: dict[str, Any] = {"version": version, "config": with_echoes(identity)}
    if parent is not None:
        content["parent"] = parent
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration that define a run, flat and in canonical form.

    Options that are null are left out, so that a later version can add one without renaming runs. A file
    of weights counts by its content, not by its path; a callback counts unless its class says that it does
    not change the training.
    """
    places = {f"dataset.{name}" for name in path_options(str(config["dataset"].get("_target_")))}
    ours = str(config["dataset"].get("_target_")).startswith("segsweep.")
    # A name is what reports call our folder; in users' own datasets it may choose the files.
    own_name = {NAME} if not ours else set()
    flat = {
        key: canonical(value)
        for key, value in flatten(config)
        if (is_identity(key) or key in own_name) and key not in places
    }
    if not (flat.get("head.aux") or str(flat.get("head._target_")).startswith("segsweep.")):
        # Without an auxiliary loss these options of every head count only for our heads: users' own heads
        # did not have them at first.
        flat = {key: value for key, value in flat.items() if key not in AUXILIARY}
    for key, target in [item for item in flat.items() if re.fullmatch(r"callbacks\.\w+\._target_", item[0])]:
        if class_constant(str(target), UNCHANGING) is False:
            part = key.removesuffix("_target_")
            flat = {key: value for key, value in flat.items() if not key.startswith(part)}
    for key in (key for key, value in flat.items() if key.endswith("_target_") and value):
        flat[key] = class_name(str(flat[key]))
    for key in ("network.weights", "backbone.weights"):
        if flat.get(key) is not None:
            flat[key] = f"sha256:{file_hash(str(flat[key]), key)}"
    if flat.get("init") is not None:
        file = init_file(config)  # a run counts by its id, a file by its content
        named = file.parents[1].name if is_run(config) else f"sha256:{file_hash(str(file), 'init')}"
        flat["init"] = named
    return {key: value for key, value in sorted(flat.items()) if value is not None}


def is_generated(identity: Mapping[str, Any]) -> bool:
    """Whether the data of a run follow from its configuration, without files to fingerprint."""
    return identity.get("dataset._target_") in GENERATED


def is_without_data(identity: Mapping[str, Any]) -> bool:
    """Whether an identity lacks the fingerprint of its data, as for older and adopted runs."""
    return CONTENT not in identity and not is_generated(identity)


def is_identity(key: str) -> bool:
    """Whether a field counts; a field in neither list does, as it may change the weights."""
    return classed(key) is not False


@cache
def classed(key: str) -> bool | None:
    """Return whether the longest matching entry is in `IDENTITY`; None if no entry matches."""
    matches = [(len(entry), True) for entry in IDENTITY if _covers(entry, key)]
    matches += [(len(entry), False) for entry in NOT_IDENTITY if _covers(entry, key)]
    return max(matches)[1] if matches else None


def _covers(entry: str, key: str) -> bool:
    return key == entry or key.startswith(entry + ".")


def is_run(config: Mapping[str, Any]) -> bool:
    """Whether `init` names a run instead of a file."""
    given = Path(str(config["init"])).expanduser()
    return not given.is_file() and not given.suffix and len(given.parts) == 1


def init_file(config: Mapping[str, Any]) -> Path:
    """Return the weights that `init` names: a file, or the last checkpoint of a run.

    Raises:
        UserError: if there is no such run, or it is not done.
    """
    given = Path(str(config["init"])).expanduser()
    if not is_run(config):
        return given
    run = find_run(Path(config["runs_dir"]), str(given))
    if (state := run.status().state) is not State.DONE:
        raise ConfigError(f"init={given}: run {run.id} is {state}, not done; finish it first")
    return run.checkpoints / LAST


@cache
def file_hash(path: str, option: str = "") -> str:
    """Return the first 16 digits of the sha256 of a file, which an option names.

    Raises:
        ConfigError: if the file cannot be read.
    """
    try:
        return digest(Path(path).expanduser())[:16]
    except OSError as error:
        named = f"{option}={path}" if option else path
        raise ConfigError(f"{named}: {error.strerror}; give the path of a weights file") from error
