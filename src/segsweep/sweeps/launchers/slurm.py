"""Execute a sweep through Slurm: all jobs are submitted at once, as arrays.

submitit, which Hydra's own Slurm launcher uses too, writes the batch scripts and requeues jobs at a time
limit or a preemption. Hydra's launcher is not enough here: a stage must wait for the stage that it starts
from without holding a device, a job may be requeued only when its run has saved, and jobs that are in the
queue already must not be submitted twice.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from omegaconf import OmegaConf

from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.planning.plan import Member
from segsweep.processes import PYTHON
from segsweep.sweeps.display import Display
from segsweep.sweeps.jobs import Job, jobs_of
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.launchers.slurm_job import SlurmJob
from segsweep.sweeps.launchers.slurm_queue import SlurmWork, note, noted, states
from segsweep.sweeps.sweep import Sweep
from segsweep.sweeps.worker import Order

HERE = "hydra/launcher=submitit_slurm"
SHARED = (
    "name", "timeout_min", "mem_gb", "nodes", "tasks_per_node", "gpus_per_node", "cpus_per_task",
    "stderr_to_stdout",
)  # fmt: skip
"""submitit's options for every engine; its others have the engine's name as a prefix."""
ARRAY = 1000
"""Most jobs in an array: Slurm's MaxArraySize is 1001 by default."""


@dataclass(frozen=True)
class Needs:
    """The resources that the jobs of one array request."""

    nodes: int
    tasks_per_node: int
    cpus_per_task: int
    gpus_per_node: int | None

    @property
    def ranks(self) -> int:
        """The processes of a run."""
        return self.nodes * self.tasks_per_node

    def srun(self) -> tuple[str, ...]:
        """Return the command that starts several ranks within a job; empty for a single rank."""
        tasks = (
            f"--nodes={self.nodes}",
            f"--ntasks={self.ranks}",
            f"--ntasks-per-node={self.tasks_per_node}",
        )
        step = ("srun", "--overlap", "--kill-on-bad-exit=1", *tasks, f"--cpus-per-task={self.cpus_per_task}")
        return step if self.ranks > 1 else ()


class SlurmLauncher(SweepLauncher):
    """hydra/launcher=submitit_slurm; its options are described in conf/hydra/launcher/submitit_slurm.yaml."""

    def __init__(self, submitit_folder: str, wait: bool, max_num_timeout: int, **options: Any) -> None:
        self.folder, self.wait, self.max_num_timeout = submitit_folder, wait, max_num_timeout
        plain = {key: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for key, v in options.items()}
        self.options: dict[str, Any] = {key: value for key, value in plain.items() if value is not None}

    def check(self, members: Sequence[Member]) -> None:
        """Raise ConfigError if submitit is missing, or options contradict each other."""
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise ConfigError(f"{HERE} needs submitit: pip install submitit") from None
        seconds, notice = 60 * self.options["timeout_min"], self.options["signal_delay_s"]
        if notice >= seconds:
            raise OptionError(
                "hydra.launcher.signal_delay_s",
                notice,
                problem=f"a job's whole time (timeout_min={seconds // 60})",
                remedy="give a run more time than its notice",
            )
        for devices in {job.devices for job in jobs_of(members)}:
            if devices != "auto" and int(devices) % self.options["nodes"]:
                raise OptionError(
                    "trainer.devices",
                    devices,
                    problem=f"cannot be divided evenly among {self.options['nodes']} nodes",
                    remedy="change it or hydra.launcher.nodes",
                )

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Submit jobs that are neither done nor in the queue, and wait for all of them."""
        display = Display(sweep)
        ids = self._submit(jobs_of(members), display)
        ids = {job: found for job, found in ids.items() if found}
        if self.wait:
            SlurmWork(sweep, display, ids, members[0].config.on_failure).wait()
        else:
            display.remark(f"{len(ids)} jobs are Slurm's now; segsweep runs shows their progress")

    def _submit(self, jobs: Sequence[Job], display: Display) -> dict[Job, list[str]]:
        """Submit jobs; return the ids of Slurm's jobs for each, none for a job that is done.

        Raises:
            UserError: Slurm does not answer, or refuses.
        """
        queue = states()
        if queue is None:
            raise UserError(f"{HERE}: squeue does not answer; is this a machine of the cluster?")
        ids: dict[Job, list[str]] = {}
        groups: dict[tuple[Needs, tuple[Job, ...], tuple[str, ...]], list[Job]] = {}
        for job in jobs:
            left = [member.folder for member in job.runs if not member.folder.is_complete(member.config)]
            ids[job] = sorted({noted(folder) for folder in left} & queue.keys())
            if not left:
                display.found_done(job.runs[-1].folder)
            elif all(noted(folder) in queue for folder in left):
                display.say(job.runs[-1].folder, f"is Slurm's job {', '.join(ids[job])} already")
            else:
                groups.setdefault((self._needs(job), job.after, tuple(ids[job])), []).append(job)
        # Parents come first among jobs, and so do their groups.
        for (needs, after, at_work), group in groups.items():
            before = [*at_work, *(id for parent in after for id in ids[parent])]
            ids.update(self._submit_group(needs, before, group))
        return ids

    def _submit_group(
        self, needs: Needs, before: Sequence[str], group: Sequence[Job]
    ) -> Iterator[tuple[Job, list[str]]]:
        """Submit jobs with the same needs and dependencies as arrays."""
        for first in range(0, len(group), ARRAY):
            part = group[first : first + ARRAY]
            orders = [Order.of(job, self.call.may_train) for job in part]
            works = [SlurmJob(replace(order, prefix=needs.srun())) for order in orders]
            try:
                submitted = self._executor(needs, before).submit_array(works)
            except RuntimeError as error:  # submitit's, with sbatch's output
                raise UserError(f"{HERE}: {str(error).strip().splitlines()[-1]}") from error
            for job, slurm in zip(part, submitted, strict=True):
                for member in job.runs:
                    note(member.folder, slurm.job_id)
                yield job, [slurm.job_id]

    def _executor(self, needs: Needs, before: Sequence[str]) -> Any:
        import submitit

        # A job of several ranks has one process, which starts the ranks on the same devices.
        single = ["--ntasks=1", "--nodes=1", "--overlap"] if needs.ranks > 1 else []
        options = {**self.options, **asdict(needs), "srun_args": [*single, "--kill-on-bad-exit=1"]}
        if before:
            options["dependency"] = "afterany:" + ":".join(before)
        executor = submitit.AutoExecutor(
            self.folder,
            cluster="slurm",
            slurm_max_num_timeout=self.max_num_timeout,
            slurm_python=shlex.join(PYTHON),
        )
        named = {key if key in SHARED else f"slurm_{key}": value for key, value in options.items()}
        executor.update_parameters(**named)
        return executor

    def _needs(self, job: Job) -> Needs:
        """Return the resources that the options name, or else those that the run needs."""
        config, options = job.runs[-1].config, self.options
        ranks = 1 if job.devices == "auto" else int(job.devices) // options["nodes"]
        tasks = options.get("tasks_per_node", ranks)
        needs_gpus = config.trainer.accelerator != "cpu" and not {"gpus_per_task", "gres"} & options.keys()
        return Needs(
            options["nodes"],
            tasks,
            options.get("cpus_per_task", config.num_workers + 1),
            options.get("gpus_per_node", tasks if needs_gpus else None),
        )
