"""A sweep: a name for a set of runs."""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from segsweep.errors import ConfigError, UserError
from segsweep.runs import compare
from segsweep.runs.files import read_json, write_json
from segsweep.runs.folder import RunFolder
from segsweep.runs.plan import Member

log = logging.getLogger("segsweep")

FOLDER = "sweeps"


@dataclass
class Sweep:
    """The runs that one `-m` command asked for."""

    name: str
    runs_dir: Path
    runs: list[RunFolder]
    reasons: dict[str, str] = field(default_factory=dict)
    """Why runs failed, by id."""

    @classmethod
    def of(cls, members: Sequence[Member]) -> "Sweep":
        """The sweep of these members, named by `sweep=` or after its members."""
        config = members[0].config
        name = (
            config["sweep"]
            or hashlib.sha256(" ".join(sorted(m.id for m in members)).encode()).hexdigest()[:8]
        )
        if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", str(name)):
            raise ConfigError(
                f"sweep={name}: expected a name of letters, digits, '.', '_' and '-', with '/' between parts"
            )
        return cls(str(name), Path(config["runs_dir"]), [member.folder for member in members])

    @classmethod
    def read(cls, runs_dir: Path, name: str) -> "Sweep":
        """A sweep that was started before.

        Raises:
            UserError: there is none of this name.
        """
        record = read_json(runs_dir / FOLDER / f"{name}.json")
        if record is None:
            files = (runs_dir / FOLDER).rglob("*.json")
            names = [path.relative_to(runs_dir / FOLDER).with_suffix("").as_posix() for path in files]
            known = ", ".join(sorted(names)) or "none"
            raise UserError(f"sweep={name}: no such sweep in {runs_dir}; known: {known}")
        runs = [RunFolder(runs_dir / run) for run in record["runs"]]
        gone = [run.id for run in runs if not run.path.exists()]
        if gone:
            log.warning(f"sweep {name}: {len(gone)} of its {len(runs)} runs were removed: {', '.join(gone)}")
        return cls(name, runs_dir, [run for run in runs if run.id not in gone])

    def write(self) -> None:
        """Keep the list of runs in runs_dir/sweeps."""
        record: Mapping[str, Any] = {
            "name": self.name,
            "runs": [run.id for run in self.runs],
            "started": time.time(),
        }
        write_json(self.runs_dir / FOLDER / f"{self.name}.json", record)

    def label(self, run: RunFolder) -> str:
        """What tells a run from the others of the sweep."""
        return compare.label(run, self._axes) or run.id

    @cached_property
    def _axes(self) -> list[str]:
        # Asked for at every member, and a comparison of all runs.
        return compare.axes(self.runs)


@dataclass
class Command:
    """What the command line tells a launcher and hears from it, as Hydra makes and keeps the launcher."""

    may_train: bool = True
    collect: Callable[[Member], None] | None = None
    """What is done with each composed member, where none is to be planned as a run."""
    members: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """The overrides of the members that each row of an experiment became."""
    sweeps: list[Sweep] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a run of a sweep failed."""
        return any(sweep.reasons for sweep in self.sweeps)


COMMAND = Command()
