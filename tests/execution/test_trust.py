"""A run folder that came from somebody else builds nothing that its reader did not name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from segsweep import cli
from segsweep.errors import ConfigError, UserError
from segsweep.execution.trust import check
from segsweep.planning.by_id import named_classes
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import foreign, named, shipped, spelled, unspelled
from segsweep.sweeps.jobs import jobs_of
from segsweep.sweeps.launchers.foreign import order_override
from segsweep.sweeps.worker import Order
from tests.support.commands import TINY
from tests.support.composing import member
from tests.support.inside import planned


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    """A planned run."""
    return planned(f"runs_dir={tmp_path_factory.mktemp('made')}")


@pytest.fixture
def received(made, tmp_path, monkeypatch) -> RunFolder:
    """A copy of it in a folder of runs below a working folder that is empty else."""
    shutil.copytree(made.path, tmp_path / "runs" / made.id)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return RunFolder(tmp_path / "runs" / made.id)


def rewrite(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder.path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def touch(path: Path) -> str:
    return f"__import__('pathlib').Path('{path}').touch()"


NESTED = {
    "an option": lambda node: {"a": node},
    "a list": lambda node: {"a": [1, node]},
    "a list in a list": lambda node: {"a": [[node]]},
    "a mapping": lambda node: {"a": {"b": {"c": node}}},
    "positional arguments": lambda node: {"_args_": [node]},
    "a partial": lambda node: {"a": {**node, "_partial_": True}},
    "of a transform": lambda node: {"extra": [{"_target_": "albumentations.RandomCrop", "p": node}]},
    "of a class of ours": lambda node: {"a": {"_target_": "segsweep.networks.Encoder", "name": node}},
    "not recursive": lambda node: {"_recursive_": False, "a": node},
}


@pytest.mark.parametrize("place", NESTED)
@pytest.mark.parametrize("part", ["backbone", "augment", "logger"])
def test_a_named_function_is_refused_wherever_it_is_named(place, part, received, tmp_path):
    node = {"_target_": "builtins.eval", "_args_": [touch(tmp_path / "pwned")]}
    rewrite(received, lambda config: config[part].update(NESTED[place](node)))
    with pytest.raises(ConfigError, match=r"builtins\.eval is neither segsweep's nor .*add trust=true"):
        check(received, received.config())
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "timeit.timeit", "sympy.sympify", "pathlib.Path.unlink", "subprocess.Popen",
        "torch.load",
        "torch.hub.load", "torch.optim.os.system", "torch.optim.lr_scheduler.warnings.warn", "torch.optim",
        "torch.optim.Optimizer.load_state_dict", "albumentations.load", "albumentations.from_dict",
        "albumentations.Compose.from_dict", "albumentations.core.serialization.load",
        "segsweep.sweeps.worker.Attempt", "segsweep.commands.runs.rm.discard", "segsweep.cli.run",
        "segsweep.files.os.unlink", "segsweep.networks.heads.aspp.torch.load", "antigravity.geohash", "",
        ".", "..os.system", "os", ["os.system"], {"_target_": "os.system"}, None, 3,
    ],
)  # fmt: skip
def test_what_only_looks_allowed_is_refused(target, received):
    with pytest.raises(ConfigError, match="trust=true"):
        check(received, {"head": {"_target_": target}})


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD", "torch.optim.adamw.AdamW", "torch.optim.lr_scheduler.StepLR",
        "albumentations.RandomBrightnessContrast", "albumentations.OneOf",
        "segsweep.networks.heads.aspp.Aspp",
    ],
)  # fmt: skip
def test_classes_of_segsweep_and_of_its_libraries_are_built(target, received):
    check(received, {"part": {"_target_": target}})


def test_the_shipped_configuration_names_nothing_foreign():
    config = member().config
    assert foreign(config) == set()
    assert {target for _, target in named(config)} <= shipped()


HEAD = "import os\nfrom os import system\nclass Mine:\n    class Inner: pass\n    clear = os.system\n"


def test_a_module_of_the_working_folder_is_the_users_own(received, tmp_path):
    (tmp_path / "mine_in_folder.py").write_text(HEAD + "def mine(): pass\n")
    (tmp_path / "mine_package" / "deep").mkdir(parents=True)
    (tmp_path / "mine_package" / "__init__.py").write_text("from mine_package.deep.head import Mine\n")
    (tmp_path / "mine_package" / "deep" / "head.py").write_text(HEAD)
    for own in (
        "in_folder.Mine",
        "in_folder.mine",
        "in_folder.Mine.Inner",
        "package.deep.head.Mine",
        "package.Mine",
    ):
        check(received, {"head": {"_target_": f"mine_{own}"}})
    for other in (
        "in_folder.os.system",
        "in_folder.system",
        "in_folder.Mine.clear",
        "in_folder.Yours",
        "in_folder",
    ):
        with pytest.raises(ConfigError, match=f"mine_{other}"):
            check(received, {"head": {"_target_": f"mine_{other}"}})


def test_a_module_that_came_with_the_run_is_not(received, tmp_path):
    """Below the working folder there are runs, and they may hold Python files."""
    evil = f"{touch(tmp_path / 'pwned')}\nclass Mine: pass\n"
    (received.path / "evil.py").write_text(evil)
    (tmp_path / "runs" / "evil.py").write_text(evil)
    shutil.copytree(received.path, tmp_path / "elsewhere" / "other_run")
    for target in (f"runs.{received.id}.evil.Mine", "runs.evil.Mine", "elsewhere.other_run.evil.Mine"):
        with pytest.raises(ConfigError, match="trust=true"):
            check(received, {"head": {"_target_": target}})
    assert not (tmp_path / "pwned").exists()


def test_installed_packages_below_the_working_folder_are_not(received, tmp_path):
    """A virtual environment is often there."""
    (tmp_path / "uses_yaml.py").write_text("from yaml import load\n")
    with pytest.raises(ConfigError, match="uses_yaml"):
        check(received, {"head": {"_target_": "uses_yaml.load"}})


def test_names_of_the_users_configuration_folder_are_allowed(received, tmp_path, monkeypatch):
    (tmp_path / "own" / "head").mkdir(parents=True)
    (tmp_path / "own" / "head" / "mine.yaml").write_text("_target_: installed_somewhere.Mine\n")
    (tmp_path / "own" / "head" / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError):
        check(received, {"head": {"_target_": "installed_somewhere.Mine"}})
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path / "own"))
    check(received, {"head": {"_target_": "installed_somewhere.Mine"}})


def test_what_a_command_names_reaches_every_process_that_executes_the_run(tmp_path):
    one = member(*TINY, "head._target_=a.B", "+augment.extra=[{_target_:c.d}]", f"runs_dir={tmp_path}")
    assert one.folder.allowed == {"a.B", "c.d"}
    assert unspelled(["execute", *spelled(one.folder.allowed), "--logged"]) == {"a.B", "c.d"}
    order = Order.of(jobs_of([one])[0], train=True)
    assert set(order.allowed) == {"a.B", "c.d"}
    assert Order(**{k: tuple(v) if isinstance(v, list) else v for k, v in order.plain().items()}) == order
    assert "allowed:['a.B','c.d']" in order_override(jobs_of([one])[0], True)[0]
    assert named_classes(["test.single._target_=e.F", "test={x:{_target_:g.H}}", "split=test"]) == {
        "e.F",
        "g.H",
    }


def test_neither_configuration_nor_plan_of_a_run_can_claim_trust(received, capsys):
    node = {"_target_": "os.getcwd"}
    rewrite(received, lambda config: config.update(trust=True, allowed=["os.getcwd"], head=node))
    plan = json.loads((received.path / "plan.json").read_text())
    plan |= {"trust": True, "allowed": ["os.getcwd"], "overrides": ["head._target_=os.getcwd", "trust=true"]}
    (received.path / "plan.json").write_text(json.dumps(plan))
    before = (received.path / "config.yaml").read_bytes(), (received.path / "status.json").read_bytes()
    for command in (["test", received.id], ["execute", str(received.path)]):
        assert (
            cli.run([*command, *([] if command[0] == "execute" else [f"runs_dir={received.path.parent}"])])
            == 2
        )
        assert "head._target_=os.getcwd is neither" in capsys.readouterr().err
    assert before == (
        (received.path / "config.yaml").read_bytes(),
        (received.path / "status.json").read_bytes(),
    )
    received.trust()
    check(received, received.config())


@pytest.mark.parametrize("key", ["data_dir", "dataset.root"])
def test_references_of_a_received_file_are_not_resolved(key, received, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "hunter2")

    def refer(config: dict[str, Any]) -> None:
        group, _, option = key.rpartition(".")
        (config[group] if group else config)[option] = "${oc.env:SECRET_OF_MINE}/x"
        del config["wait"]  # has defaults filled in

    rewrite(received, refer)
    with pytest.raises(UserError, match=r"=\$\{oc.env:SECRET_OF_MINE\}/x in its config.yaml is a reference"):
        received.config()
