"""A real Slurm on this machine, for the time of a test session: own key, own ports, all of it in one folder.

Two nodes n1 and n2 are two slurmd of this machine. They declare more processors than there are, and nothing
is bound or limited: neither systemd nor cgroups are there. The partition `main` is preempted by `high`, and
its jobs are then requeued. There is no accounting, as on many small clusters: `sacct` knows nothing.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

from segsweep.processes import end_with_parent

PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
NODES = ("n1", "n2")
UP = 60  # seconds that the nodes may take to come up


class NoSlurmError(Exception):
    """Slurm cannot be had on this machine; the message says why."""


class Cluster:
    """munged, slurmctld and two slurmd as root in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Install what is missing, start all and wait until the nodes are up.

        Raises:
            NoSlurmError: this user or machine cannot.
        """
        install()
        for name in ("munge", "state", "spool", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        self.conf.write_text(self._configuration())
        munge = [f"--{name}-file={self.folder / 'munge' / name}" for name in ("key", "pid", "log", "seed")]
        self._start("munged", "munged", "--foreground", "--force", f"--socket={self._socket}", *munge)
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self.ensure()

    def ensure(self) -> None:
        """Start a slurmd again that has died, as happens once in hundreds of jobs, and wait for all nodes."""
        for node in NODES:
            if node not in self.daemons or self.daemons[node].poll() is not None:
                self._start(node, "slurmd", "-D", "-f", str(self.conf), "-N", node)
        end = time.monotonic() + UP
        while (states := self._states()) != ["idle"] * len(NODES):
            if time.monotonic() > end:
                raise NoSlurmError(f"the nodes did not come up: {states}; see {self.folder / 'log'}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Cancel what is left and end the daemons, the controller last but one."""
        if "slurmctld" in self.daemons:
            for how in ((), ("--signal=KILL",)):
                with contextlib.suppress(subprocess.SubprocessError):
                    subprocess.run(["scancel", "--user=root", *how], env=self.environment(), timeout=30)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(15)

    def environment(self) -> dict[str, str]:
        """What makes srun, sbatch and the like talk to this Slurm; the nodes' names do not resolve."""
        return {**os.environ, "SLURM_CONF": str(self.conf), "MASTER_ADDR": "127.0.0.1"}

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        return subprocess.run(
            command, env=self.environment(), check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def shown(self, job_id: str) -> dict[str, str]:
        """What `scontrol show job` has of a job or an element of an array."""
        fields = self.call("scontrol", "show", "job", "--oneliner", job_id).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def preempt(self, job_id: str) -> None:
        """Have a job that is more urgent want the whole of the node on which this one runs."""
        more_urgent = ("--partition=high", f"--nodelist={self.shown(job_id)['NodeList']}", "--exclusive")
        self.call("sbatch", *more_urgent, "--output=/dev/null", "--wrap=true")

    @property
    def _socket(self) -> Path:
        return self.folder / "munge" / "socket"

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment(),
                # A session that is killed leaves no daemon behind.
                preexec_fn=partial(end_with_parent, signal.SIGTERM, os.getpid()),
            )  # fmt: skip
        if name == "munged":
            end = time.monotonic() + UP
            while not self._socket.exists():
                if time.monotonic() > end or self.daemons[name].poll() is not None:
                    raise NoSlurmError(f"munged did not start; see {self.folder / 'log'}")
                time.sleep(0.05)

    def _states(self) -> list[str]:
        ask = ["sinfo", "-h", "-N", "-p", "main", "-o", "%T"]
        found = subprocess.run(ask, env=self.environment(), capture_output=True, text=True, timeout=60)
        return found.stdout.split()

    def _configuration(self) -> str:
        host, (controller, *ports) = socket.gethostname().partition(".")[0], free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 Boards=1 "
            "SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=4000"
            for name, port in zip(NODES, ports, strict=True)
        )
        return f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
# cred_expire: so long a requeued job waits before it starts again (default 120 s)
AuthInfo=socket={self._socket},cred_expire=5
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
SlurmctldLogFile={self.folder}/log/slurmctld.log
SlurmdLogFile={self.folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
ReturnToService=2
# send_user_signal: a preempted job gets the signal it asked for (--signal), not SIGTERM
SlurmctldParameters=node_reg_mem_percent=1,preempt_send_user_signal
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
MinJobAge=600
InactiveLimit=0
WaitTime=0
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def install() -> None:
    """Install those of Slurm's Debian packages that are missing.

    Raises:
        NoSlurmError: no root, no apt-get, or no packages.
    """
    if os.geteuid() != 0:
        raise NoSlurmError("Slurm's daemons are started as root")
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NoSlurmError(f"{', '.join(missing)}: not installed, and no apt-get here")
    quietly = {
        "capture_output": True,
        "text": True,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update"], **quietly)
    result = subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], **quietly)
    if result.returncode:
        raise NoSlurmError(f"apt-get install {' '.join(missing)}: {result.stderr.strip()[-200:]}")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
