"""What data hold is part of what a run is: where they are is not, and older runs are found without it."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.commands.runs.show import explain
from segsweep.commands.runs.verify import check
from segsweep.errors import DataError
from segsweep.planning import content
from segsweep.planning.compose import compose
from segsweep.planning.plan import Member, check_member, note_older, write
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.identity import CONTENT
from tests.data.writers import write_camvid
from tests.runs.earlier import CAMVID, VERSION_2, copied
from tests.support.composing import member


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """CamVid in data/ of the working folder; each look at data is a process's first."""
    monkeypatch.chdir(tmp_path)
    write_camvid(Path("data/camvid"), size=(48, 64))
    content.content_of.cache_clear()
    yield tmp_path
    content.content_of.cache_clear()


@pytest.fixture
def said(caplog, monkeypatch) -> pytest.LogCaptureFixture:
    """What is told on the console."""
    log = logging.getLogger("segsweep")
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setattr(log, "propagate", False)
    caplog.set_level(logging.INFO, log.name)
    return caplog


def corrected(place: Path) -> Path:
    """A copy of the data with one label changed."""
    copy = shutil.copytree("data/camvid", place)
    label = copy / "trainannot" / "train_0001.png"
    label.write_bytes((copy / "trainannot" / "train_0002.png").read_bytes())
    return copy


def composed(*arguments: str) -> list[Member]:
    """The members of a sweep, composed as for training."""
    return compose("train", arguments)


def swept(*overrides: str) -> list[Member]:
    """The same on CamVid."""
    return composed("-m", *CAMVID, *overrides)


def test_the_same_data_elsewhere_are_the_same_run_and_others_another(tmp_path):
    shutil.copytree("data/camvid", "copy/camvid")
    corrected(tmp_path / "corrected")
    ids = [member(*CAMVID, root).id for root in ("seed=0", "data_dir=copy", "dataset.root=corrected")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] != VERSION_2.name
    same = "dataset.root=data/camvid,copy/camvid,corrected"
    assert [one.id for one in swept(same)] == ids, "the composer of sweeps and Hydra's own agree"


def test_a_sweep_looks_at_its_data_once(monkeypatch):
    looks = []
    monkeypatch.setattr("segsweep.data.dataset.fingerprint", lambda data: looks.append(data) or "0" * 16)
    found = swept("seed=range(20)", "size=32,48", "batch_size=2,4")
    assert len({one.id for one in found}) == 80
    assert len(looks) == 1


def test_the_plan_says_what_the_data_held_and_its_id_is_made_of_it():
    one = member(*CAMVID)
    run = write(one)
    plan = json.loads((run.path / "plan.json").read_text())
    assert plan["identity"][CONTENT].startswith("sha256:")
    assert list(check(run)) == []
    assert explain(run)["data"] is None


def test_a_root_that_is_not_there_is_an_error_and_never_done_already():
    done = write(member(*CAMVID))
    done.update_status(state="done", step=4)
    for arguments in (["train"], ["train", "-m"], ["test"]):
        content.content_of.cache_clear()
        assert cli.run([*arguments, *CAMVID, "dataset.root=/nowhere"]) == 2
    with pytest.raises(DataError, match="/nowhere: no such folder"):
        check_member(member(*CAMVID[:-1], "test=[]", "dataset.root=/nowhere"))


def test_without_the_data_the_only_run_of_a_configuration_is_found(capsys, tmp_path):
    """As for `plan` and `report` on another machine; all else is told still."""
    run = write(member(*CAMVID))
    shutil.move("data", "away")
    content.content_of.cache_clear()
    assert member(*CAMVID).id == run.id
    assert cli.run(["plan", *CAMVID, "format=json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in told["runs"]] == [run.id]
    assert [problem["message"].split(";")[0] for problem in told["problems"]] == [
        "data/camvid: no such folder (dataset.root, under data_dir)"
    ]
    shutil.move("away", "data")
    corrected(tmp_path / "other")
    write(member(*CAMVID, "dataset.root=other"))
    shutil.move("data", "away")
    content.content_of.cache_clear()
    assert member(*CAMVID).id == VERSION_2.name, "of two on unlike data none is taken"


def test_a_run_of_before_is_found_by_its_command_and_said_not_to_know_its_data(said):
    run = copied(VERSION_2, Path("runs"), num_classes=11)
    assert cli.run(["train", *CAMVID]) == 0
    assert f"{run.id}: not fingerprinted" in said.text
    assert f"run {run.id} is done already" in said.text
    assert [one.id for one in all_runs(Path("runs"))] == [run.id]
    assert explain(run)["data"].startswith("not fingerprinted")
    assert member(*CAMVID, "force=true").id != run.id
    assert member(*CAMVID, "seed=1").id not in (run.id, member(*CAMVID, "seed=1", "data_dir=/nowhere").id)


def test_an_older_run_and_a_newer_one_differ_in_their_seed_alone():
    older = copied(VERSION_2, Path("runs"), num_classes=11)
    newer = write(member(*CAMVID, "seed=1"))
    assert compare.axes([older, newer]) == ["seed"]
    assert CONTENT in newer.plan.identity


def test_runs_on_unlike_data_are_told_apart(tmp_path):
    corrected(tmp_path / "other")
    runs = [write(member(*CAMVID)), write(member(*CAMVID, "dataset.root=other"))]
    assert compare.axes(runs) == [CONTENT]


def test_an_older_stage_keeps_its_children():
    """A child of a run of before has its parent's id in its own, and knows its own data."""
    copied(VERSION_2, Path("runs"), num_classes=11)
    Path("conf/stages").mkdir(parents=True)
    Path("conf/stages/two.yaml").write_text(
        "one: {trainer: {max_steps: 4}}\ntwo: {trainer: {max_steps: 3}}\n"
    )
    bare = [o for o in CAMVID if not o.startswith("trainer.max_steps")]
    (last,) = composed("-m", *bare, "stages=two")
    assert last.parent is not None
    assert last.parent.id == VERSION_2.name
    assert CONTENT in last.identity


def test_a_stage_that_is_done_is_started_from_without_its_data(tmp_path, said):
    """COCO may go once its stage is trained; that the last stage's data are there is asked still."""
    shutil.copytree("data/camvid", "first/camvid")
    Path("conf/stages").mkdir(parents=True)
    Path("conf/stages/two.yaml").write_text(
        "one: {dataset: camvid, dataset.root: first/camvid}\ntwo: {dataset: camvid, seed: 1}\n"
    )
    arguments = ["-m", *(o for o in CAMVID if o != "dataset=camvid"), "stages=two"]
    (before,) = composed(*arguments)
    assert before.parent is not None
    write(before.parent).update_status(state="done", step=4)
    shutil.rmtree("first")
    content.content_of.cache_clear()
    (after,) = composed(*arguments)
    assert after.id == before.id
    check_member(after)
    note_older(after.lineage())
    assert f"{before.parent.id} is done, and found without its data: first/camvid" in said.text
    with pytest.raises(DataError, match="nowhere"):
        check_member(composed(*arguments, "data_dir=nowhere")[0])


def test_generated_data_have_none():
    assert CONTENT not in member().identity
    assert RunFolder(write(member()).path).plan.identity == member().identity
