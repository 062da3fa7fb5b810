"""Slurm's queue: which of its jobs execute which runs, and waiting for them.

A run's folder says whether the run is done; the queue is only asked which jobs it still holds, because a job
that was cancelled or whose node failed could not write why. No accounting (sacct) is needed.
"""

import logging
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segsweep.errors import DamagedFileError
from segsweep.planning.plan import Member
from segsweep.runs.contents import SlurmJob, State
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import BEGAN, DONE, FAILED, INTERRUPTED
from segsweep.runs.layout import SLURM_JOB
from segsweep.sweeps.display import Display
from segsweep.sweeps.jobs import Job
from segsweep.sweeps.outcome import Ending, ending, refusal
from segsweep.sweeps.sweep import Sweep

log = logging.getLogger("segsweep")

POLL = 5.0


def note(folder: RunFolder, job_id: str) -> None:
    """Record which job executes a run."""
    write_json(folder.path / SLURM_JOB, SlurmJob(slurm=job_id, submitted=time.time()).plain())


def noted(folder: RunFolder) -> str:
    """Return the job that was last submitted for a run; empty if there is none."""
    try:
        found = SlurmJob.read(folder.path / SLURM_JOB, "the next submission writes it again")
    except DamagedFileError as error:
        log.warning(str(error))
        return ""
    return found.slurm if found else ""


def states() -> dict[str, str] | None:
    """Return the states of this user's unfinished jobs by id (12 or 12_3); None if Slurm does not answer."""
    ask = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True)
    except FileNotFoundError:  # no Slurm here
        return None
    if answer.returncode:
        return None
    return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())


def last_state(job_id: str) -> str:
    """Return the final state of a job, such as NODE_FAIL, or "gone": Slurm forgets it after some minutes."""
    ask = ["scontrol", "show", "job", "--oneliner", job_id]
    found = re.search(r"JobState=(\S+)", subprocess.run(ask, capture_output=True, text=True).stdout)
    return found[1] if found else "gone"


@dataclass
class SlurmWork:
    """The execution of a sweep's jobs on the cluster."""

    sweep: Sweep
    display: Display
    ids: dict[Job, list[str]]
    """Slurm's jobs for each of ours; finished ones are removed."""
    on_failure: str = "continue"
    begun: set[Job] = field(default_factory=set)
    running: set[Job] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)

    def wait(self) -> None:
        """Report the runs' progress until all jobs have left the queue.

        Raises:
            KeyboardInterrupt: this command stops waiting; the jobs go on.
        """
        try:
            with self.display:
                while self.ids:
                    time.sleep(POLL)
                    if (queue := states()) is not None:  # else slurmctld is busy, or being restarted
                        self.look(queue)
        except KeyboardInterrupt:
            ids = sorted({id.partition("_")[0] for ids in self.ids.values() for id in ids})
            self.display.remark(
                f"the jobs go on without this command, which typed again waits for them; "
                f"they are cancelled by: scancel {' '.join(ids)}"
            )
            raise

    def look(self, queue: Mapping[str, str]) -> None:
        """Record and report what has changed."""
        for job, ids in list(self.ids.items()):
            found = [queue[id] for id in ids if id in queue]
            for member in job.runs:
                self._close(job, member, over=not found, job_id=ids[-1])
            left = [member.folder for member in job.runs if member.id not in self.closed]
            if left:
                self._follow(job, left[0], ids[-1], found)
            else:
                del self.ids[job]
        if self.sweep.reasons and self.on_failure == "stop":
            self._stop()

    def _follow(self, job: Job, folder: RunFolder, job_id: str, found: Sequence[str]) -> None:
        """Report the state of a job with runs left to execute, of which `folder` is the next."""
        if "RUNNING" in found and job not in self.running:
            self.sweep.journal.note(folder.id, BEGAN, job=f"slurm {job_id}")
            what = "goes on as" if job in self.begun else f"run {folder.id},"
            self.display.say(folder, f"{what} Slurm's job {job_id} …")
            self.begun.add(job)
            self.running.add(job)
        elif "PENDING" in found and job in self.running:
            self.running.remove(job)
            self.display.say(folder, f"in the queue again at step {folder.status().step}")

    def _close(self, job: Job, member: Member, over: bool, job_id: str) -> None:
        """Record a run's outcome: as soon as it is done, or else once its job is over."""
        done = member.id not in self.closed and member.folder.is_complete(member.config)
        if member.id in self.closed or not (done or over):
            return
        self.closed.add(member.id)
        state, reason = (DONE, None) if done else self._ending(job, member.folder, job_id)
        self.sweep.end(member.folder, state, reason)
        self.display.ended(member.folder, reason)

    def _ending(self, job: Job, folder: RunFolder, job_id: str) -> Ending:
        refused = refusal(folder, [peer.folder for peer in job.peers], self.sweep.left_out)
        if refused is not None:
            return refused
        status = folder.status()
        if status.state is State.FAILED or status.error:
            return ending(folder, status.error or "see its log")
        if status.state is State.DONE:
            return FAILED, "its job had begun when these tests were asked for; the same command does them"
        reason = f"Slurm's job {job_id} ended before the run did: {last_state(job_id)}"
        if status.state is State.INTERRUPTED:
            folder.update_status(error=reason)
        return INTERRUPTED, reason

    def _stop(self) -> None:
        """Cancel the jobs that have not begun."""
        waiting = [job for job in self.ids if job not in self.begun]
        if waiting:
            subprocess.run(["scancel", *(id for job in waiting for id in self.ids[job])])
            self.display.remark(f"on_failure=stop: {len(waiting)} jobs are not started")
        for job in waiting:
            del self.ids[job]
