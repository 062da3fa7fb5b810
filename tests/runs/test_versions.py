"""Run folders that an older segsweep wrote: listed, explained, compared, tested; or refused, with reasons.

`old_run` is a folder of identity version 1 as its segsweep left it, without its weights, pictures and counts;
`weights.txt` has the names and shapes of the tensors in its checkpoint.
"""

import hashlib
import json
import shutil

import pytest
import torch
import yaml

from segsweep import builders
from segsweep.errors import UserError
from segsweep.execution.test import load_network
from segsweep.planning.plan import write
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.identity import id_of
from segsweep.runs.settings import flatten
from segsweep.runs.versions import ECHOES, IDENTITY_VERSION, current_names
from tests.runs.earlier import VERSION_1, copied
from tests.support.commands import TINY, segsweep, table
from tests.support.composing import member

OLD, ID = VERSION_1.parent, VERSION_1.name


@pytest.fixture
def old(tmp_path) -> RunFolder:
    """The old run with weights like its own."""
    return copied(VERSION_1, tmp_path / "runs", num_classes=6)


def rewrite(run: RunFolder, file: str, **changes) -> None:
    """Change values of the run's plan or configuration; `part__key` for nested ones."""
    path = run.path / file
    content = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parts, name = key.split("__")
        node = content
        for part in parts:
            node = node[part]
        node[name] = value
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))


def test_it_is_listed_explained_tested_and_reported(old, tmp_path):
    (row,) = table("runs", cwd=tmp_path)
    figures = json.loads((OLD / ID / "tests" / "single" / "metrics.json").read_text())
    assert (row["id"], row["state"], row["step"], row["max_steps"]) == (ID, "done", 4, 4)
    assert row["miou"] == figures["miou"]
    tested = segsweep("test", ID[:4], "test=[flip]", cwd=tmp_path)
    assert "warn" not in tested.stderr.lower()
    (shown,) = table("runs", "show", ID, cwd=tmp_path)
    assert set(shown["tests"]) == {"single", "flip"}
    (reported,) = table("report", cwd=tmp_path)
    assert reported["runs"] == [ID]
    assert reported["single"] == figures["miou"]


def test_what_this_version_added_has_its_default_and_what_stands_there_stays(old):
    config, stood = old.config(), yaml.safe_load((OLD / ID / "config.yaml").read_text())
    assert config["wait"] is True
    assert config["checkpoint"] == {"every": 200, "test": "last", "minutes": None}
    assert (config["trainer"]["on_nan"], config["trainer"]["freeze"]) == ("stop", None)
    assert config["head"]["aux"] == []
    moved_or_gone = {
        "dataset._target_",
        "test.single._target_",
        "logger._target_",
        "loss.auxiliary_weight",
        *ECHOES,
    }
    found = dict(flatten(config))
    assert {k: v for k, v in flatten(stood) if k not in moved_or_gone} == {
        k: found[k] for k, _ in flatten(stood) if k not in moved_or_gone
    }
    builders.build_data(config)


def test_a_logger_of_an_earlier_version_is_todays(old):
    ours = "segsweep.training.loggers.RunLogger"
    assert old.config()["logger"] == {"_target_": ours}
    config = yaml.safe_load((old.path / "config.yaml").read_text())
    tracker = {
        "_target_": "segsweep.training.wandb_tracker.WandbTracker",
        "project": "mine",
        "mode": "offline",
    }
    (old.path / "config.yaml").write_text(yaml.safe_dump({**config, "logger": tracker}))
    now = old.config()["logger"]
    assert (now["_target_"], now["project"], now["mode"]) == (ours, "mine", "offline")
    assert list(builders.build_logger({"logger": now}).services) == ["wandb"]


def test_it_compares_with_a_run_of_today(old, tmp_path):
    """The same configuration but for the seed: no axis says that another version wrote one of them."""
    write(member(*TINY, "seed=1", f"runs_dir={tmp_path / 'runs'}"))
    runs = all_runs(tmp_path / "runs")
    assert len(runs) == 2
    assert compare.axes(runs) == ["seed"]


def test_its_id_is_checked_as_its_version_made_it(old):
    plan = json.loads((old.path / "plan.json").read_text())
    assert id_of(plan["identity"], version=1) == ID


def test_a_removed_option_matters_only_while_there_is_training_to_do(old):
    rewrite(old, "config.yaml", loss__auxiliary_weight=0.4)
    assert "auxiliary_weight" not in old.config()["loss"]
    rewrite(old, "status.json", state="failed")
    with pytest.raises(UserError, match=r"loss\.auxiliary_weight=0\.4, an option that .*head\.aux_weights"):
        old.config()


def test_options_that_were_written_twice_are_read_once_and_count_twice(old, tmp_path):
    """Files and ids are as ever; what a run is and how it is configured names each option once."""
    new = write(member(*TINY, f"runs_dir={tmp_path / 'runs'}"))
    for run in (old, new):
        written = json.loads((run.path / "plan.json").read_text())
        assert written["identity"]["dataset.seed"] == written["identity"]["seed"]
        text = json.dumps(
            {"version": written["identity_version"], "config": written["identity"]},
            sort_keys=True, separators=(",", ":"),
        )  # fmt: skip
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == run.id == written["id"]
        assert not ECHOES.keys() & (run.plan.identity.keys() | dict(flatten(run.config())).keys())


def test_an_option_that_differed_from_its_namesake_stays_in_sight(old, tmp_path):
    plan, config = (yaml.safe_load((OLD / ID / name).read_text()) for name in ("plan.json", "config.yaml"))
    other = RunFolder(shutil.copytree(old.path, tmp_path / "runs" / "0123456789ab"))
    rewrite(other, "plan.json", id=other.id, identity={**plan["identity"], "augment.size": [32, 32]})
    rewrite(other, "config.yaml", augment={**config["augment"], "size": [32, 32]})
    assert compare.axes([RunFolder(old.path), other]) == ["augment.size"]
    assert "size" not in other.config()["augment"], "tests need no training crop"
    rewrite(other, "status.json", state="failed")
    with pytest.raises(UserError, match=r"begun with augment\.size=\[32, 32\], an option that .*\(size says"):
        other.config()


def test_a_newer_versions_run_is_listed_and_not_tested(old, tmp_path):
    rewrite(old, "plan.json", identity_version=IDENTITY_VERSION + 1)
    assert [row["id"] for row in table("runs", cwd=tmp_path)] == [ID]
    refused = segsweep("test", ID, "test=[flip]", cwd=tmp_path, status=2)
    assert f"identity version {IDENTITY_VERSION + 1}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_block_of_none_is_what_it_was(old):
    """One plain convolution, its tensors under their names of version 1."""
    target = "segsweep.networks.heads.none.NoPyramid"
    head = {"_target_": target, "width": 8, "decoder": False, "dropout": 0.1}
    rewrite(old, "plan.json", choices__head="none")
    rewrite(old, "config.yaml", head=head)
    channels = 96 * 6  # of the encoder's last map
    state = torch.load(old.checkpoints / "last.ckpt", weights_only=True)["state_dict"]
    kept = {key: value for key, value in state.items() if not key.startswith("segmenter.head.context")}
    context = "segmenter.head.context."
    block = {
        f"{context}1.{name}": torch.rand(8) for name in ("weight", "bias", "running_mean", "running_var")
    }
    block[f"{context}0.weight"] = torch.rand(8, channels, 3, 3)
    block[f"{context}1.num_batches_tracked"] = torch.tensor(4)
    torch.save({"state_dict": {**kept, **block}}, old.checkpoints / "last.ckpt")
    network = load_network(old.config(), old.checkpoints / "last.ckpt", None)
    found = dict(network.named_parameters())["head.context.0.0.weight"]
    assert torch.equal(found, block[f"{context}0.weight"])


def test_a_head_whose_options_meant_something_else_is_refused(old):
    rewrite(old, "config.yaml", head__decoder=True, head__separable=True)
    with pytest.raises(UserError, match=r"head\.separable=true from a segsweep in which"):
        old.config()


def test_tensors_keep_their_names_where_the_network_has_them():
    weights = {"head.context.0.weight": 1, "head.context.7.bias": 2}
    assert current_names(weights, ["head.context.0.weight"]) == weights
    assert current_names(weights, ["head.context.0.0.weight"]) == {
        "head.context.0.0.weight": 1, "head.context.7.bias": 2,
    }  # fmt: skip
