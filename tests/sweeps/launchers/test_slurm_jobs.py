"""Slurm jobs of a sweep: when one is requeued, and what is told of those in the queue.

What a real Slurm makes of them is in tests/slurm.
"""

import signal

import pytest

from segsweep.planning.plan import merge, write
from segsweep.sweeps.jobs import jobs_of
from segsweep.sweeps.launchers import slurm_job
from segsweep.sweeps.launchers.slurm_job import SlurmJob
from segsweep.sweeps.launchers.slurm_queue import SlurmWork, note
from segsweep.sweeps.sweep import Sweep
from segsweep.sweeps.worker import Order
from tests.support.inside import BASE, chains

pytest.importorskip("submitit")


class Told:
    """A run's process that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def ask(self, signum: int) -> None:
        self.asked.append(signum)


@pytest.mark.parametrize(
    ("sent", "preempted", "requeued"),
    [(signal.SIGUSR2, False, True), (signal.SIGTERM, True, True), (signal.SIGTERM, False, False)],
)
def test_a_job_is_requeued_only_once_its_process_has_ended(monkeypatch, sent, preempted, requeued):
    events: list[str] = []
    told = Told()

    def perform(order, watch):
        watch(told)
        signal.raise_signal(sent)
        events.append("process ended")
        return "stopped"

    monkeypatch.setattr(slurm_job, "perform", perform)
    monkeypatch.setattr(slurm_job, "_is_preempted", lambda: preempted)
    before = signal.signal(signal.SIGUSR2, lambda *_: events.append("requeued"))
    try:
        with pytest.raises(SystemExit, match="stopped"):
            SlurmJob(Order(("run",)))()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert told.asked == [sent]
    assert events == ["process ended", "requeued"][: 1 + requeued]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("JobState=RUNNING Reason=None PreemptTime=2026-01-01T00:00:00", True),
        ("JobState=RUNNING Reason=None PreemptTime=None", False),
        ("JobState=COMPLETING Reason=None PreemptTime=2026-01-01T00:00:00", False),
        ("", False),
    ],
)
def test_preempted_is_what_slurm_says_is(slurm, monkeypatch, shown, expected):
    slurm.program("scontrol", f"#!/bin/sh\necho '{shown}'\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert slurm_job._is_preempted() is expected


class Lines:
    """A display that keeps what is said of each run."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def say(self, run, what):
        self.lines.append((run.id, what))

    def ended(self, run, reason):
        self.lines.append((run.id, f"ended: {reason}"))

    def remark(self, what):
        self.lines.append(("", what))


@pytest.fixture
def work(slurm):
    """Three runs in the queue, as jobs 1_0, 1_1 and 1_2."""
    slurm.program("scontrol", "#!/bin/sh\necho 'JobId=1 JobState=NODE_FAIL Reason=None'\n")
    slurm.program("scancel", f'#!/bin/sh\necho "$@" > {slurm.scripts.parent}/cancelled\n')
    members = merge(chains(*BASE, "seed=0,1,2"))
    sweep = Sweep.of(members)
    for number, member in enumerate(members):
        note(write(member), f"1_{number}")
    sweep.write(members)
    return SlurmWork(sweep, Lines(), {job: [f"1_{n}"] for n, job in enumerate(jobs_of(members))})


def test_what_becomes_of_jobs_is_told_once(work):
    first, second, _ = (member.id for job in work.ids for member in job.runs)
    all_running = {"1_0": "RUNNING", "1_1": "RUNNING", "1_2": "PENDING"}
    for queue in (all_running, all_running, {**all_running, "1_0": "PENDING"}, all_running):
        work.look(queue)
    work.look({"1_0": "RUNNING", "1_2": "PENDING"})  # the second is gone without a word
    reason = "Slurm's job 1_1 ended before the run did: NODE_FAIL"
    assert work.display.lines == [
        (first, f"run {first}, Slurm's job 1_0 …"),
        (second, f"run {second}, Slurm's job 1_1 …"),
        (first, "in the queue again at step 0"),
        (first, "goes on as Slurm's job 1_0 …"),
        (second, f"ended: {reason}"),
    ]
    assert work.sweep.reasons == {second: reason}
    assert work.sweep.journal.states()[second].state == "interrupted"
    assert [ids for ids in work.ids.values()] == [["1_0"], ["1_2"]]


def test_on_failure_stop_cancels_what_has_not_begun(work, slurm):
    work.on_failure = "stop"
    work.look({"1_0": "RUNNING", "1_2": "PENDING"})
    assert (slurm.scripts.parent / "cancelled").read_text() == "1_2\n"
    assert [ids for ids in work.ids.values()] == [["1_0"]]
    assert work.display.lines[-1] == ("", "on_failure=stop: 1 jobs are not started")
