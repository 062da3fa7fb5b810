"""Planning at speed: what is written, and that each distinct part is checked once and no part too little."""

import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from omegaconf import OmegaConf

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, UserError
from segsweep.files import write_groups
from segsweep.planning import dry_build
from segsweep.planning.plan import check_member, merge, planned, resolve, write_all
from segsweep.runs.documents import yaml_text
from segsweep.runs.folder import all_runs
from tests.support.composing import member

CONTENT = {
    "text": "1e3", "yes": "on", "float": 1e-3, "none": None, "list": [1, [2, "it's"]], "empty": {}, "no": [],
    "nested": {"a": {"_target_": "x.Y", "path": "ä: b"}, "long": "word " * 60}, "true": True, }  # fmt: skip


def test_yaml_is_omegaconfs():
    configs = member("head=ksac").config, member("head=atonet", "test=[ms_flip]").config
    for content in (CONTENT, *map(dict, configs)):
        assert yaml_text(content) == OmegaConf.to_yaml(content)
        assert yaml_text({**content, "text": 1000.0}) == OmegaConf.to_yaml({**content, "text": 1000.0})
        assert yaml.safe_load(yaml_text(content)) == content


def test_what_extra_transforms_fill_labels_with_is_written_out_and_part_of_the_run():
    affine = "augment.extra=[{_target_: albumentations.Affine, rotate: 20%s}]"
    ours, same, theirs = (member(affine % fill) for fill in ("", ", fill_mask: 255", ", fill_mask: 0"))
    assert ours.config["augment"]["extra"][0]["fill_mask"] == 255
    assert ours.id == same.id != theirs.id
    assert member().config["augment"]["extra"] is None


def test_a_list_that_two_options_share_is_written_twice():
    shared = [1, 2]
    assert yaml.safe_load(yaml_text({"a": shared, "b": {"c": shared, "d": shared}}))["b"]["d"] == [1, 2]
    assert "&" not in yaml_text({"a": {"b": shared, "c": shared}})


def test_runs_are_written_in_order_and_their_plans_last(tmp_path):
    one = member(f"runs_dir={tmp_path}")
    configs = [OmegaConf.create({**one.config, "seed": seed}) for seed in range(40)]
    members = merge([planned(resolve(config), one.choices, one.overrides) for config in configs])
    write_all(members)
    runs = all_runs(tmp_path)
    assert [run.id for run in runs] == [one.id for one in members]
    for run, one in zip(runs, members, strict=True):
        assert {path.name for path in run.path.iterdir()} == {"config.yaml", "status.json", "plan.json"}
        assert run.config() == {"network": None, "sampling": None, **one.config}
        assert run.plan == replace(one.record(), identity=one.identity)
        assert run.status().state == "planned"


def test_a_run_that_was_begun_keeps_its_plan_and_status(tmp_path):
    one = member("seed=3", f"runs_dir={tmp_path}", "test=[]")
    write_all([one])
    one.folder.update_status(state="interrupted", step=7)
    before = (one.folder.path / "plan.json").read_bytes()
    write_all([member("seed=3", f"runs_dir={tmp_path}", "test=[flip]")])
    assert one.folder.status().step == 7
    assert list(one.folder.config()["test"]) == ["flip"]
    assert (one.folder.path / "plan.json").read_bytes() == before


def test_force_goes_on_counting_where_an_older_replacement_was_removed(tmp_path):
    one = member("force=true", f"runs_dir={tmp_path}")
    for _ in range(3):
        write_all([one])
    shutil.rmtree(tmp_path / "replaced" / f"{one.id}.1")
    write_all([one])
    assert {path.name for path in (tmp_path / "replaced").iterdir()} == {f"{one.id}.2", f"{one.id}.3"}


def test_what_cannot_be_written_leaves_nothing_half(tmp_path):
    (tmp_path / "b").write_text("a file where a folder is wanted")
    groups = [[(tmp_path / name / "one", b"1"), (tmp_path / name / "two", b"2")] for name in "abc"]
    with pytest.raises(UserError, match="runs_dir=…"):
        write_groups(groups)
    assert not list(tmp_path.rglob("*.tmp"))


KILLED = """
import os, signal, sys
from pathlib import Path
from segsweep import files
folder, number, replace = Path(sys.argv[1]), int(sys.argv[2]), Path.replace
def counted(self, target):
    global number
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    number -= 1
    return replace(self, target)
Path.replace = counted
files.write_groups([[(folder / str(i) / name, b"x") for name in ("config", "plan")] for i in range(20)])
"""


@pytest.mark.parametrize("number", [0, 1, 13, 39])
def test_whoever_is_killed_leaves_no_plan_without_its_configuration(number, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(number)], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert sum(path.suffix != ".tmp" for path in tmp_path.glob("*/*")) <= number
    assert all((plan.parent / "config").exists() for plan in tmp_path.glob("*/plan"))


def test_each_part_is_built_once(monkeypatch):
    built = []

    def counting(config, part, **arguments):
        built.append(part)
        return build_part(config, part, **arguments)

    build_part = builders.build
    monkeypatch.setattr(builders, "build", counting)
    monkeypatch.setattr(dry_build, "build", counting)
    one = member("backbone=resnet18").config
    for width, lr, seed in itertools.product((23, 29), (0.0123, 0.0129, 0.0131), range(5)):
        optimizer, head = {**one["optimizer"], "lr": lr}, {**one["head"], "width": width}
        dry_build.check(one.changed(optimizer=optimizer, head=head, seed=seed))
    assert (built.count("head"), built.count("optimizer")) == (2, 6)
    assert built.count("dataset") <= 1


def test_each_part_reads_only_options_that_its_result_is_kept_by(monkeypatch):
    """Else configurations that differ in another option would share the result."""
    options = {field.name for field in dataclasses.fields(RunConfig)} - {"content"}

    class Strict(RunConfig):
        def __getattribute__(self, name):
            assert name not in options or name in self.content, f"{name} is not among {list(self.content)}"
            return super().__getattribute__(name)

    monkeypatch.setattr(dry_build, "RunConfig", Strict)
    seldom = (
        "backbone=resnet18", "batch_size=3", "head.width=31", "optimizer.lr=0.0137", "scheduler.power=0.83",
        "trainer.freeze=[batch_norm]", "loss.class_weights=[1,1,1,1,1,3]", "predictions=png", "split=val",
        "test=[flip]", "test.flip.output_stride=8", "dataset.data_seed=9", "logger=none",
    )  # fmt: skip
    assert list(dry_build.problems(member(*seldom).config)) == []


def test_an_ensemble_with_a_run_that_is_not_there_is_told_before_training(tmp_path):
    with pytest.raises(UserError, match=r"^no run in .* with an id beginning 'abc'"):
        check_member(member(f"runs_dir={tmp_path}", "test.single.ensemble=[abc]"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer.lr=-1"], "optimizer"),
        (["scheduler=step", "scheduler.milestones=[x]"], "scheduler"),
        (["trainer.freeze=[encodr]"], "trainer.freeze"),
        (["loss.class_weights=[1]"], "loss.class_weights"),
        (["test=[slide]", "test.slide.stride=0"], "stride"),
        (["dataset.train_split=trian"], "dataset.train_split"),
        (["checkpoint.test=bset"], "checkpoint.test"),
        (["trainer.precision=8"], "trainer.precision"),
        (["split=tset"], "split"),
        (["size=8"], "size"),
        (["test=[center_crop]", "predictions=png"], "^predictions=png: .*sees only the centre of an image"),
    ],
)
def test_a_part_that_is_wrong_in_one_member_only(overrides, words):
    """What was found right before must not hide it."""
    check_member(member("backbone=resnet18"))
    with pytest.raises(ConfigError, match=words):
        check_member(member("backbone=resnet18", *overrides))


def test_all_that_is_wrong_with_one_configuration(tmp_path):
    wrong = ("dataset=camvid", f"data_dir={tmp_path}", "trainer.freeze=[encodr]", "loss.class_weights=[1]")
    found = [(str(error), files) for error, files in dry_build.problems(member(*wrong).config)]
    assert [files for _, files in found] == [False, False, True]
    for (message, _), words in zip(found, ("encodr", "class_weights", "no such folder"), strict=True):
        assert words in message


def test_a_sweep_writes_what_single_commands_write(tmp_path):
    """The record of a member does not depend on the company in which it was planned."""
    one = member("seed=5", f"runs_dir={tmp_path / 'one'}")
    many = [member(f"seed={seed}", f"runs_dir={tmp_path / 'many'}") for seed in (4, 5, 6)]
    write_all([one])
    write_all(many)
    plans = [json.loads((folder.path / "plan.json").read_text()) for folder in (one.folder, many[1].folder)]
    assert plans[0]["identity"] == plans[1]["identity"]
    assert plans[0]["id"] == plans[1]["id"]


@pytest.mark.parametrize(
    "part", ["head=ksac", "backbone=resnet18", "head.rates=[6]", "+backbone.options.x=1"]
)
def test_parts_beside_a_whole_network_are_refused(part):
    with pytest.raises(ConfigError, match=r"network=enet is a whole network, without backbone and head"):
        member("network=enet", part)


def test_a_whole_networks_identity_has_no_parts():
    one = member("network=enet", "network.aux=[1]")
    assert {key.split(".")[0] for key in one.identity} & {"network", "backbone", "head"} == {"network"}
    assert one.identity["network._target_"] == "ENet"
    assert one.choices["network"] == "enet"
    assert not {"backbone", "head"} & {*one.choices, *one.config}
    assert list(dry_build.problems(one.config)) == []


def test_a_whole_network_has_no_output_stride_to_choose():
    (problem, _), *others = dry_build.problems(member("network=enet", "test.single.output_stride=8").config)
    assert (str(problem), others) == (
        "test.single.output_stride=8: a whole network has its own output stride; expected null", []
    )  # fmt: skip
