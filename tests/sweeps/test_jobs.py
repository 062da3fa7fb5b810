"""Which runs are one job, and what a job comes after."""

from dataclasses import replace

import pytest

from segsweep.config.schema import RunConfig
from segsweep.planning.plan import Member
from segsweep.sweeps.jobs import Job, jobs_of
from segsweep.sweeps.launchers.foreign import waves


class Named(Member):
    """One whose id is given."""

    @property
    def id(self) -> str:
        return self.overrides[0]


def member(name: str, parent: Member | None = None, dataset: str = "shapes", **config: object) -> Member:
    """`first-0` is a run of the stage `first`."""
    return Named(
        config=RunConfig.of(config), own={}, choices={"dataset": dataset}, overrides=(name,),
        stage=name.partition("-")[0], parent=parent,
    )  # fmt: skip


def shown(jobs: list[Job]) -> list[tuple[str, str]]:
    """Runs of each job, and the last runs of those that it comes after."""
    return [
        (" ".join(m.id for m in job.runs), " ".join(other.runs[-1].id for other in job.after)) for job in jobs
    ]


def stopping(members: list[Member]) -> list[Member]:
    return [replace(m, config=m.config.changed(early_stop="median")) for m in members]


@pytest.fixture
def tree() -> list[Member]:
    """Two lasts that share all before them, and a chain of its own."""
    first = member("first-0")
    second = member("second-0", first)
    lasts = [member(f"last-{number}", second) for number in range(2)]
    other = member("first-1")
    return [first, second, *lasts, other, member("second-1", other)]


def test_a_chain_is_a_job_up_to_where_it_branches(tree):
    assert shown(jobs_of(tree)) == [
        ("first-0 second-0", ""), ("last-0", "second-0"), ("last-1", "second-0"), ("first-1 second-1", ""),
    ]  # fmt: skip
    alone = [("first-0", ""), ("second-0", "first-0"), ("last-0", "second-0")]
    assert shown(jobs_of(tree, single=True))[:3] == alone


def test_waves_hold_what_comes_after_the_waves_before(tree):
    found = [[job.runs[0].id for job in wave] for wave in waves(jobs_of(tree))]
    assert found == [["first-0", "first-1"], ["last-0", "last-1"]]


def test_with_early_stop_a_run_comes_after_all_of_its_parents_stage(tree):
    jobs = jobs_of(stopping(tree))
    assert shown(jobs) == [
        ("first-0", ""), ("first-1", ""),
        ("second-0", "first-0 first-1"), ("second-1", "first-0 first-1"),
        ("last-0", "second-0 second-1"), ("last-1", "second-0 second-1"),
    ]  # fmt: skip
    assert [[m.id for m in job.peers] for job in jobs][3] == ["first-0", "first-1"]


def test_only_like_chains_on_one_data_set_are_compared():
    """A median over two data sets says nothing; of two orders of stages neither can wait for the other."""
    camvid = member("first-1", dataset="camvid")
    there, back = member("first-2", member("second-2")), member("second-3", member("first-3"))
    members = [member("first-0"), camvid, *there.lineage(), *back.lineage()]
    members += [member("second-0", members[0]), member("second-1", camvid)]
    jobs = {job.runs[0].id: [m.id for m in job.peers] for job in jobs_of(stopping(members))}
    assert jobs == {
        "first-0": [], "first-1": [], "second-2": [], "first-3": [],
        "first-2": ["second-2"], "second-3": ["first-0", "first-3"],
        "second-0": ["first-0", "first-3"], "second-1": ["first-1"],
    }  # fmt: skip
