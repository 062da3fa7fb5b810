"""A run folder: its files, and how they are read and written.

config.yaml        the resolved configuration it was trained under (as last asked for, until it is done)
plan.json          id, identity, the choices and overrides that first requested it
status.json        state, step, best and last validation mIoU, seconds, error
checkpoints/       last.ckpt, best.ckpt
metrics.csv        a row every trainer.log_every steps and every validation
tests/<strategy>/  metrics.json, protocol.json, confusion.csv, counts.npz, asked.json; only protocol.json and
                   asked.json for a split whose labels are not public
predictions/<strategy>/, submissions/<strategy>.tar|zip
                   predictions of all images, if requested: PNGs, or the archive that a benchmark takes
pictures/          a few test images with labels and each strategy's prediction
environment.json   package versions, git commit, hardware
log.txt            the log of the run's processes
lease.json         the process that is working on the run, if any
job.json           the Slurm job that last got the run, if any
"""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from segsweep.config.schema import RunConfig
from segsweep.errors import DamagedFileError, UserError, as_typed
from segsweep.files import File, write_groups
from segsweep.processes import PYTHON
from segsweep.runs import layout
from segsweep.runs import versions as compatibility
from segsweep.runs.contents import Environment, Plan, State, Status
from segsweep.runs.documents import json_bytes, write_json
from segsweep.runs.lease import Holder, Lease, hold, holder
from segsweep.runs.settings import Config, canonical, flatten
from segsweep.runs.targets import foreign, spelled
from segsweep.runs.tested import Tested

log = logging.getLogger("segsweep")

BY_CONTENT = {"backbone.weights", "network.weights", "init", "adopted"}
"""Parts of an identity that are hashes of files which the configuration names."""
AGAIN = "its training command, given again, writes it again"


class RunFolder(Tested):
    """One run on disk."""

    def __init__(self, path: Path, allowed: Collection[str] = ()) -> None:
        super().__init__(path)
        self.allowed = frozenset(allowed)
        """Classes that the user's command names for this run, see trust.py."""
        self.lease: Lease | None = None
        """This process's lease, while it holds the run through this object."""

    @property
    def id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / layout.CHECKPOINTS

    @property
    def log(self) -> Path:
        """The log file."""
        return self.path / layout.LOG

    @cached_property
    def plan(self) -> Plan:
        """The run's identity, in the form of this version, and how it was requested.

        Raises:
            UserError: if this is not a run folder, or the file is damaged.
        """
        plan = Plan.read(self.path / layout.PLAN, AGAIN)
        if plan is None:
            raise UserError(f"{self.path}: no plan.json, so this is no run folder; see segsweep runs")
        return compatibility.current_plan(plan)

    def config(self) -> RunConfig:
        """Return the resolved configuration, in the form of this version.

        Raises:
            UserError: if it is damaged, not resolved, or of a version that this one cannot continue.
        """
        path = self.path / layout.CONFIG
        config = Config.read(path, AGAIN)
        if config is None:
            raise DamagedFileError(path, "is not there", AGAIN)
        trained = self._read_status().state is State.DONE
        current = compatibility.current_config(config.plain(), self.plan, trained)
        self._check_agreement(current)
        return RunConfig.of(current)

    def _check_agreement(self, config: Mapping[str, Any]) -> None:
        """Raise DamagedFileError if an option differs from its value in the plan's identity."""
        known, has = self.plan.identity, dict(flatten(config))
        for key in known.keys() & has.keys() - BY_CONTENT:
            was, is_now = as_typed(known[key]), as_typed(canonical(has[key]))
            if was != is_now and not key.endswith("_target_"):
                found = f"damaged ({key} is {is_now:.40}, but in plan.json {was:.40})"
                raise DamagedFileError(self.path / layout.CONFIG, found, AGAIN)

    def trust(self) -> None:
        """Allow the classes that the run's configuration names now."""
        self.allowed |= foreign(self.config())

    def write_plan(self, plan: Plan, config_yaml: str) -> None:
        """Create the folder, or update its configuration until it is done; the plan makes it a run."""
        write_groups([self.plan_files(plan, config_yaml)])

    def plan_files(self, plan: Plan, config_yaml: str) -> list[File]:
        """Return what `write_plan` writes, in order, so that many runs can be written together.

        An undamaged run that is done gets no files: later requests do not change how it was trained.
        """
        config, status, own = (self.path / name for name in (layout.CONFIG, layout.STATUS, layout.PLAN))
        has_plan = self._is_whole(own)
        if has_plan and self._read_status().state is State.DONE and self._is_whole(config):
            return []
        files = [(config, config_yaml.encode())]
        if not status.exists():
            files.append((status, json_bytes({"state": State.PLANNED, "step": 0, "updated": time.time()})))
        if not has_plan:
            files.append((own, json_bytes(plan.plain())))
        return files

    def _is_whole(self, file: Path) -> bool:
        """Whether the plan, or the configuration, is there and whole; if not, it is written again."""
        if not file.exists():
            return False
        try:
            return bool(self.plan if file.name == layout.PLAN else self.config())
        except DamagedFileError as error:
            log.warning(f"written again: {error}")
            return False
        except UserError:
            return True  # another version's

    def status(self) -> Status:
        """Read status.json; a running run whose process is gone counts as interrupted."""
        status = self._read_status()
        if status.state is State.RUNNING and self.holder() is None:
            return status.changed(state=State.INTERRUPTED)
        return status

    def _read_status(self) -> Status:
        try:
            read = Status.read(self.path / layout.STATUS, AGAIN)
            return read or Status(state=State.PLANNED, step=0)
        except DamagedFileError as error:
            # The run continues from its checkpoints and writes its status again.
            return Status.of({"state": State.INTERRUPTED, "step": 0, "error": str(error)})

    def update_status(self, **changes: Any) -> None:
        """Change fields of status.json.

        Raises:
            LeaseLostError: if another process has taken over the run from this one.
        """
        self.check_ours()
        status = self._read_status().changed(**changes, updated=time.time())
        write_json(self.path / layout.STATUS, status.plain())

    def environment(self) -> Environment | None:
        """Return what it was trained on; None if the file is missing or, with a warning, damaged."""
        try:
            return Environment.read(self.path / layout.ENVIRONMENT, "it is written again")
        except DamagedFileError as error:
            log.warning(str(error))
            return None

    def is_complete(self, config: RunConfig) -> bool:
        """Whether it is trained, tested as the configuration asks, and reported to its logger."""
        status = self.status()
        return status.state is State.DONE and not status.untold and self.is_tested(config)

    def command(self) -> list[str]:
        """Return `segsweep execute FOLDER` with the classes that may be built; options may be added."""
        return [*PYTHON, "-m", "segsweep", "execute", str(self.path), *spelled(self.allowed)]

    @contextmanager
    def hold(self, wait: bool = False) -> Iterator[Lease]:
        """Hold the run while writing to it; raise UserError if it is held, unless `wait` is set."""
        self.path.mkdir(parents=True, exist_ok=True)
        # Resolved, as a run may be a symbolic link, and may be renamed while it is held.
        with hold((self.path / layout.LEASE).resolve(), f"run {self.id}", wait, log.info) as self.lease:
            try:
                yield self.lease
            finally:
                self.lease = None

    def check_ours(self) -> None:
        """Check, before a write that counts, that this process still holds the run if it did.

        Raises:
            LeaseLostError: if another process has taken it over.
        """
        if self.lease is not None:
            self.lease.check()

    def holder(self) -> Holder | None:
        """Return the process that holds the run, if any."""
        return holder(self.path / layout.LEASE)


def all_runs(runs_dir: Path) -> list[RunFolder]:
    """Return the runs in a folder, oldest first; one with a damaged plan is left out, with a warning."""
    plans = sorted(runs_dir.glob(f"[!.]*/{layout.PLAN}"), key=lambda path: path.stat().st_mtime_ns)
    return [run for path in plans if _is_readable(run := RunFolder(path.parent))]


def _is_readable(run: RunFolder) -> bool:
    try:
        return bool(run.plan)
    except UserError as error:
        log.warning(f"left out: {error}")
        return False


def find_run(runs_dir: Path, prefix: str) -> RunFolder:
    """Return the run whose id begins with `prefix`; raise UserError if there is none, or more than one."""
    matches = [run for run in all_runs(runs_dir) if run.id.startswith(prefix)]
    if len(matches) != 1:
        found = "no run" if not matches else f"{len(matches)} runs ({', '.join(run.id for run in matches)})"
        raise UserError(f"{found} in {runs_dir} with an id beginning {prefix!r}; segsweep runs lists them")
    return matches[0]
