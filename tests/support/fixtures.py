"""Runs that are planned, a chain of three, and one of them held by another process."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from segsweep.planning.plan import Member, planned, resolve, write
from segsweep.runs.folder import RunFolder
from tests.support.commands import TINY, command
from tests.support.composing import composed, configuration
from tests.sweeps.launchers.fake_slurm import PAIR, FakeSlurm


@pytest.fixture
def runs(tmp_path) -> Path:
    """Where the runs of a test are."""
    return tmp_path / "runs"


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    """Slurm's commands, recorded, and chains of two stages."""
    fake = FakeSlurm(tmp_path)
    (tmp_path / "conf" / "stages").mkdir(parents=True)
    (tmp_path / "conf" / "stages" / "pair.yaml").write_text(PAIR)
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path / "conf"))
    monkeypatch.setenv("PATH", f"{fake.programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def chain(runs) -> list[RunFolder]:
    """Three planned runs, each the parent of the next."""
    members: list[Member] = []
    with configuration():
        for number in range(3):
            one = composed(*TINY, f"seed={number}", f"runs_dir={runs}")
            parent = members[-1] if members else None
            members.append(plan_of(one, f"stage{number}", parent))
    return [write(each) for each in members]


def plan_of(member: Member, stage: str, parent: Member | None) -> Member:
    """The same member as a stage of a chain."""
    resolved = resolve(OmegaConf.create({**member.config}))
    return planned(resolved, member.choices, member.overrides, stage, parent)


@pytest.fixture
def held(chain) -> Iterator[subprocess.Popen[str]]:
    """The second of the chain, held by another process; the process."""
    script = "import sys, time; from pathlib import Path; from segsweep.runs.folder import RunFolder\n"
    script += "with RunFolder(Path(sys.argv[1])).hold(): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [*command()[:1], "-c", script, str(chain[1].path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
