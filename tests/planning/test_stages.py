"""Staged schedules: chains of runs, each begun from the one before, and shared where chains agree."""

import csv
from collections.abc import Iterator

import pytest

from segsweep import cli
from segsweep.errors import ConfigError
from segsweep.planning.plan import Member, check_member
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.settings import flatten
from segsweep.sweeps.sweep import Sweep
from tests.support.composing import member
from tests.support.inside import (  # fmt: skip
    BASE,
    OPEN,
    attempts_inside,
    chains,
    different,
    faulty,
    fresh_weights,
    run,
    train_all,
    weights,
)

CHAIN = """# Three short stages; the later ones have other classes, the last trains the head alone.
first: {trainer: {max_steps: 3, val_every: 3}, optimizer: {lr: 0.01}}
second: {num_classes: 4, trainer: {max_steps: 2, val_every: 2}, optimizer: {lr: 0.005}, scheduler: cosine}
fine: {num_classes: 4, trainer: {max_steps: 1, freeze: [encoder]}, optimizer: {lr: 0.001}}
"""
ONE = "only: {trainer: {max_steps: 2}, optimizer: {lr: 0.005}}\n"
COMMON = (*OPEN, "stages=chain", "head.width=8", "checkpoint.every=9")


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory, monkeypatch):
    """Chains in a folder of the user's own."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "stages").mkdir()
    (folder / "stages" / "chain.yaml").write_text(CHAIN)
    (folder / "stages" / "one.yaml").write_text(ONE)
    monkeypatch.setenv("SEGSWEEP_CONF", str(folder))


def ids(*overrides: str) -> list[str]:
    """The ids of a single chain's runs."""
    (last,) = chains(*COMMON, *overrides)
    return [one.id for one in last.lineage()]


def steps(folders: list[RunFolder]) -> int:
    """Optimizer steps in the rows of metrics.csv."""
    count = 0
    for folder in folders:
        with (folder.path / "metrics.csv").open() as file:
            count += sum(1 for row in csv.DictReader(file) if row["lr"])
    return count


def test_shared_prefixes_are_trained_once(tmp_path):
    """2 heads × 2 fine-tune rates: 2 firsts, 2 seconds, 4 lasts; then lasts alone."""
    common = [option for option in COMMON if option != "head=none"]
    axes = (*common, "head=aspp,ksac", "head.rates=[1,2]", f"runs_dir={tmp_path}")
    new = train_all(chains(*axes, "stages.fine.optimizer.lr=1e-3,2e-3"))
    assert len(new) == 2 + 2 + 4
    assert steps(new) == 2 * 3 + 2 * 2 + 4 * 1
    assert all(folder.status().state == "done" for folder in new)
    parents = {folder.id: folder.plan.parent for folder in new if folder.plan.stage == "fine"}
    assert sorted(parents.values()) == sorted(2 * list(set(parents.values()))), "two children each"

    more = train_all(chains(*axes, "stages.fine.optimizer.lr=2e-3,3e-3"))
    assert [folder.plan.stage for folder in more] == 2 * ["fine"]
    assert (len(all_runs(tmp_path)), steps(more)) == (10, 2)
    assert {folder.plan.parent for folder in more} == set(parents.values())
    assert train_all(chains(*axes, "stages.fine.optimizer.lr=1e-3")) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[list[RunFolder]]:
    """One chain, done."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "stages").mkdir()
    (folder / "stages" / "chain.yaml").write_text(CHAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGSWEEP_CONF", str(folder))
        yield train_all(chains("head=none", *COMMON, "test=[single]", f"runs_dir={folder / 'runs'}"))


def test_a_stage_begins_with_its_parents_last_weights(trained, monkeypatch):
    """All of them where the classes are the same, all but the classifier where they are others."""
    first, second, fine = trained
    anew = {"head.classifier.1.weight", "head.classifier.1.bias"}
    for parent, child, expected in ((first, second, anew), (second, fine, set())):
        begun = {}

        def look(task, *_, into=begun, **__):
            into.update({key: value.clone() for key, value in task.segmenter.state_dict().items()})
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("segsweep.execution.train.fit", look)
            patch.setattr("segsweep.execution.start.newest", lambda folder: None)
            patch.setattr(RunFolder, "update_status", lambda self, **changes: None)
            patch.setattr(RunFolder, "status", _as_if_planned(child))
            with pytest.raises(KeyboardInterrupt):
                run(child)
        kept = {key: value for key, value in begun.items() if key not in expected}
        last = weights(parent)
        assert different(kept, {key: last[key] for key in kept}) == []
        fresh = fresh_weights(child)
        assert different({k: begun[k] for k in expected}, {k: fresh[k] for k in expected}) == []


def _as_if_planned(child: RunFolder):
    status = RunFolder.status
    return lambda self: status(self).changed(state="planned") if self.path == child.path else status(self)


def test_what_a_stage_began_with_is_written_and_said(trained):
    first, second, fine = trained
    origins = [folder.status().origin for folder in trained]
    assert origins == [
        "random weights",
        f"parent {first.id} (new for its classes: head.classifier.1)",
        f"parent {second.id}",
    ]
    for folder, origin in zip(trained, origins, strict=True):
        assert f"starting from {origin}" in folder.log.read_text()
    assert [folder.plan.stage for folder in trained] == ["first", "second", "fine"]
    assert [folder.plan.parent for folder in trained] == [None, first.id, second.id]
    assert set(fine.plan.lineage) == {"first", "second"}


def test_only_the_last_stage_is_tested(trained):
    assert [folder.strategies() for folder in trained] == [[], [], ["single"]]


def test_the_last_stage_trains_what_it_says(trained):
    _, second, fine = trained
    moved = different(weights(second), weights(fine))
    assert moved
    assert not any(key.startswith("encoder.") for key in moved)


def test_each_stage_is_what_its_file_says_and_the_command_line_wins():
    def shown(*overrides: str) -> list[tuple[float, int, str, int]]:
        (last,) = chains(*COMMON, *overrides)
        return [
            (
                one.config["optimizer"]["lr"],
                one.config["trainer"]["max_steps"],
                one.choices["scheduler"],
                one.config["batch_size"],
            )
            for one in last.lineage()
        ]

    assert shown() == [(0.01, 3, "poly", 4), (0.005, 2, "cosine", 4), (0.001, 1, "poly", 4)]
    everywhere = shown("optimizer.lr=0.5", "trainer.max_steps=6", "batch_size=2")
    assert everywhere == [(0.5, 6, "poly", 2), (0.5, 6, "cosine", 2), (0.5, 6, "poly", 2)]
    assert [scheduler for _, _, scheduler, _ in shown("scheduler=step")] == ["step"] * 3
    one = shown("stages.fine.optimizer.lr=0.7", "stages.second.trainer.max_steps=4")
    assert one == [(0.01, 3, "poly", 4), (0.005, 4, "cosine", 4), (0.7, 1, "poly", 4)]


def test_a_stages_name_wins_over_what_holds_in_all_and_may_say_what_the_file_does_not():
    (last,) = chains(*COMMON, "optimizer.lr=0.5", "stages.fine.optimizer.lr=0.7", "stages.fine.batch_size=2")
    shown = [(one.config["optimizer"]["lr"], one.config["batch_size"]) for one in last.lineage()]
    assert shown == [(0.5, 4), (0.5, 4), (0.7, 2)]


def test_the_parents_id_is_part_of_the_childs():
    plain = ids()
    assert len(set(plain)) == 3
    assert not set(ids("stages.first.optimizer.lr=0.02")) & set(plain)
    middle = ids("stages.second.optimizer.lr=0.02")
    assert [a == b for a, b in zip(plain, middle, strict=True)] == [True, False, False]
    last = ids("stages.fine.optimizer.lr=0.02")
    assert [a == b for a, b in zip(plain, last, strict=True)] == [True, True, False]


def test_a_chain_of_none_or_one_has_the_ids_of_plain_runs():
    plain = member(*BASE, "seed=3")
    assert member(*BASE, "seed=3", "stages=single").id == plain.id
    assert [one.id for one in chains(*BASE, "seed=3", "stages=single")] == [plain.id]
    (one,) = chains(*OPEN, "stages=one")
    plain = member(*OPEN, "trainer.max_steps=2", "optimizer.lr=0.005")
    assert (one.id, one.parent, one.stage) == (plain.id, None, None)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("stages=chian",), ("stages=chian", "did you mean chain")),
        (("stages=chain", "stages.fin.optimizer.lr=1"), ("stages.fin", "did you mean fine")),
        (("stages=chain", "+stages.fin.optimizer.lr=1"), ("stages.fin", "did you mean fine")),
        (("stages=chain", "stages.fine.optimizer.lrr=1"), ("lrr", "did you mean", "lr")),
        (("stages=chain", "stages.fine.batch_sise=2"), ("batch_sise", "did you mean batch_size")),
        (("stages=single", "stages.fine.batch_size=2"), ("the chain has no stage fine",)),
    ],
)
@pytest.mark.parametrize("flag", [(), ("-m",)])
def test_mistakes_are_named(overrides, words, flag, capfd, tmp_path):
    assert cli.run(["train", *flag, *OPEN, *overrides, f"runs_dir={tmp_path}"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert [word for word in words if word not in err] == [], err
    assert not list(tmp_path.glob("*/plan.json"))


def test_a_parent_that_fails_holds_its_children_back_and_no_other(monkeypatch, tmp_path, capfd):
    """Mended, the same command goes on: what is done is not done again."""
    attempts_inside(monkeypatch)
    (tmp_path / "broken").touch()
    fault = faulty(tmp_path, (5, "error", "broken"))
    arguments = ["train", "-m", *COMMON, "head=none", *fault, "seed=0,1", f"runs_dir={tmp_path / 'runs'}"]
    assert cli.run(arguments) == 1
    runs = {(folder.config()["seed"], folder.plan.stage): folder for folder in all_runs(tmp_path / "runs")}
    states = {key: folder.status().state for key, folder in runs.items()}
    failed = runs[0, "first"]
    assert states == {
        (0, "first"): "failed", (0, "second"): "planned", (0, "fine"): "planned",
        (1, "first"): "done", (1, "second"): "done", (1, "fine"): "done",
    }  # fmt: skip
    assert failed.status().failure.kind == "unknown"
    assert "RuntimeError: a fault to order" in failed.status().error
    assert f"its parent {failed.id} is not done" in capfd.readouterr().out
    (name,) = [path.stem for path in (tmp_path / "runs" / "sweeps").glob("*.json")]
    assert len(Sweep.read(tmp_path / "runs", name).runs) == 6

    done = runs[1, "fine"].status().updated
    assert cli.run(arguments) == 0
    assert {folder.status().state for folder in runs.values()} == {"done"}
    assert runs[1, "fine"].status().updated == done


def test_planning_finds_what_is_wrong_with_a_later_stage(tmp_path):
    (last,) = chains(*COMMON, "stages.second.trainer.freeze=[encodr]", f"runs_dir={tmp_path}")
    with pytest.raises(ConfigError, match=r"trainer\.freeze"):
        check_member(last)


def shown(one: Member, *keys: str) -> list[object]:
    flat = {**dict(flatten(one.config)), **one.choices}
    return [flat[key] for key in keys]


EXPERIMENT = """# @package _global_
defaults:
  - part
  - override /stages: dual_aspp_cityscapes
  - override /head: ksac
optimizer: {lr: 0.3}
"""


def test_an_experiment_wins_over_the_stages_and_the_command_line_over_both(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text(EXPERIMENT)
    (tmp_path / "experiments" / "part.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /backbone: resnet18\nhead: {width: 7}\n"
    )
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path))
    keys = ("head", "head.width", "backbone", "optimizer.lr", "backbone.output_stride", "batch_size")
    (alone,) = chains("+experiments=mine")
    assert shown(alone, *keys) == ["ksac", 7, "resnet18", 0.3, 16, 8]
    (other,) = chains("+experiments=mine", "head=dual_aspp", "optimizer.lr=0.4", "batch_size=2")
    assert shown(other, *keys) == ["dual_aspp", 7, "resnet18", 0.4, 32, 2]


def test_an_option_of_the_head_that_a_schedule_chooses():
    """Hydra composes the default head first, which has no such option."""
    for schedule in ("stages=atonet_camvid", "+experiments=atonet/table2"):
        (one,) = chains(schedule, "head.spp=[6,3]")
        assert shown(one, "head.spp", "head.aux") == [[6, 3], [3, 4, 5]]
    with pytest.raises(ConfigError, match="did you mean spp"):
        chains("stages=atonet_camvid", "head.sppp=[6,3]")
