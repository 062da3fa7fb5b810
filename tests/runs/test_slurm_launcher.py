"""What the launcher for Slurm asks Slurm for, read from the scripts that it hands to a recorded sbatch.

What a real Slurm makes of them is in tests/slurm.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.runs.folder import all_runs
from segsweep.runs.launch import slurm_job, slurm_queue
from segsweep.runs.launch.jobs import jobs_of
from segsweep.runs.launch.orders import Order
from segsweep.runs.launch.slurm_job import SlurmJob
from segsweep.runs.launch.slurm_queue import SlurmWork, note
from segsweep.runs.plan import merge, write
from segsweep.runs.sweep import COMMAND, Sweep
from tests.runs.inside import BASE, OPEN, chains

DelayedSubmission = pytest.importorskip("submitit").helpers.DelayedSubmission

PAIR = "first: {trainer: {max_steps: 2}}\nsecond: {trainer: {max_steps: 2}}\n"
LAUNCHER = ("-m", "hydra/launcher=submitit_slurm", "hydra.launcher.wait=false")
SBATCH = """#!/bin/sh
n=$(ls {folder} | wc -l)
cp "$1" {folder}/$n
echo "Submitted batch job 1$n"
"""


class FakeSlurm:
    """Slurm's commands: sbatch that keeps what it is given, and squeue with a queue of the test's."""

    def __init__(self, folder: Path) -> None:
        self.scripts, self.programs, self._queue = folder / "scripts", folder / "bin", folder / "queue"
        self.scripts.mkdir()
        self.programs.mkdir()
        self.program("sbatch", SBATCH.format(folder=self.scripts))
        self.program("squeue", f"#!/bin/sh\ncat {self._queue}\n")
        self.program("srun", "#!/bin/sh\nexit 1\n")
        self.queue()

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def queue(self, *lines: str) -> None:
        self._queue.write_text("".join(f"{line}\n" for line in lines))

    def submitted(self) -> list[dict[str, str]]:
        """The options of each batch script, in the order of submission; its command as `command`."""
        found = []
        for path in sorted(self.scripts.iterdir(), key=lambda path: int(path.name)):
            lines = path.read_text().splitlines()
            flags = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
            options = {key: value.strip("'") for key, _, value in (flag.partition("=") for flag in flags)}
            found.append(options | {"command": lines[-1]})
        return found


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path)
    (tmp_path / "conf" / "stages").mkdir(parents=True)
    (tmp_path / "conf" / "stages" / "pair.yaml").write_text(PAIR)
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path / "conf"))
    monkeypatch.setenv("PATH", f"{fake.programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return fake


def train(*arguments: str) -> int:
    try:
        return cli.run(["train", *LAUNCHER, *arguments])
    finally:
        COMMAND.sweeps = []


def test_members_that_need_the_same_are_one_array(slurm):
    assert train(*BASE, "seed=0,1,2", "hydra.launcher.array_parallelism=2") == 0
    (one,) = slurm.submitted()
    assert one["array"] == "0-2%2"
    assert one["job-name"] == "segsweep"
    assert one["signal"] == "USR2@120"
    assert (one["time"], one["nodes"], one["ntasks-per-node"], one["cpus-per-task"]) == ("720", "1", "1", "1")
    assert "requeue" in one
    assert not {"gpus-per-node", "dependency", "partition"} & one.keys()
    assert "--kill-on-bad-exit=1" in one["command"]
    assert [slurm_queue.noted(run) for run in all_runs(Path("runs"))] == ["10_0", "10_1", "10_2"]


def test_what_comes_after_a_shared_stage_is_an_array_after_its_job(slurm):
    """2 seeds, 2 rates each: two shared first stages, and for each an array of the two stages after it."""
    lr = "stages.second.optimizer.lr=1e-3,2e-3"
    assert train(*[o for o in OPEN if "checkpoint" not in o], "stages=pair", "seed=0,1", lr) == 0
    first, *after = slurm.submitted()
    assert (first["array"], first.get("dependency")) == ("0-1%2", None)
    assert [(one["array"], one["dependency"]) for one in after] == [
        ("0-1%2", "afterany:10_0"), ("0-1%2", "afterany:10_1"),
    ]  # fmt: skip


def test_a_chain_that_shares_nothing_is_one_job(slurm):
    assert train(*OPEN, "stages=pair", "seed=0") == 0
    (one,) = slurm.submitted()
    assert "array" not in one
    assert {slurm_queue.noted(run) for run in all_runs(Path("runs"))} == {"10"}


def test_a_task_for_each_device_and_a_gpu_for_each_task(slurm):
    assert train(*BASE, "trainer.devices=2", "trainer.accelerator=gpu", "num_workers=3") == 0
    (one,) = slurm.submitted()
    assert [one[key] for key in ("ntasks-per-node", "gpus-per-node", "cpus-per-task")] == ["2", "2", "4"]
    # One process of the job, which starts the two as a step within the same devices.
    assert "--ntasks=1 --nodes=1 --overlap" in one["command"]
    (pickled,) = Path("runs/sweeps/.submitit/10").glob("*_submitted.pkl")
    prefix = DelayedSubmission.load(pickled).function.order.prefix
    assert prefix[0] == "srun"
    assert {"--overlap", "--ntasks=2", "--ntasks-per-node=2", "--cpus-per-task=4"} < set(prefix)


def test_what_is_in_the_queue_is_waited_for_not_submitted(slurm, capsys):
    assert train(*BASE, "seed=0,1") == 0
    slurm.queue("10_0 RUNNING", "10_1 PENDING")
    assert train(*BASE, "seed=0,1,2") == 0
    assert [one.get("array") for one in slurm.submitted()] == ["0-1%2", None]
    slurm.queue()
    assert train(*BASE, "seed=0,1,2") == 0  # none is done, and none is in the queue any more
    assert slurm.submitted()[-1]["array"] == "0-2%3"


def test_what_comes_after_a_run_in_the_queue_comes_after_its_job(slurm):
    assert train(*OPEN, "stages=pair", "seed=0") == 0
    slurm.queue("10 RUNNING")
    assert train(*OPEN, "stages=pair", "seed=0", "stages.second.optimizer.lr=0.5") == 0
    assert slurm.submitted()[1]["dependency"] == "afterany:10"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("hydra.launcher.timeout_min=2",), "hydra.launcher.signal_delay_s=120: a job's whole time"),
        (("hydra.launcher.nodes=2", "trainer.devices=1"), "cannot be shared out among 2 nodes"),
        (("hydra.launcher.partiton=gpu",), "partiton"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_submitted(slurm, capsys, arguments, line):
    assert train(*BASE, *arguments) == 2
    assert line in capsys.readouterr().err
    assert slurm.submitted() == []


def test_without_submitit_the_extra_is_named(slurm, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert train(*BASE) == 2
    assert "pip install 'segsweep[slurm]'" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_without_slurm_and_with_an_sbatch_that_refuses(slurm, capsys):
    slurm.program("sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    assert train(*BASE) == 2
    assert "sbatch: error: invalid partition" in capsys.readouterr().err
    slurm.program("squeue", "#!/bin/sh\nexit 1\n")
    assert train(*BASE) == 2
    assert "squeue does not answer" in capsys.readouterr().err


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

    def said(self, run, what):
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
    assert work.sweep.journal.states()[second]["state"] == "interrupted"
    assert [ids for ids in work.ids.values()] == [["1_0"], ["1_2"]]


def test_on_failure_stop_cancels_what_has_not_begun(work, slurm):
    work.on_failure = "stop"
    work.look({"1_0": "RUNNING", "1_2": "PENDING"})
    assert (slurm.scripts.parent / "cancelled").read_text() == "1_2\n"
    assert [ids for ids in work.ids.values()] == [["1_0"]]
    assert work.display.lines[-1] == ("", "on_failure=stop: 1 jobs are not started")
