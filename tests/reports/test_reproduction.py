"""The verdict on two trainings of one run, from their files alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segsweep.commands.reproduce import lines
from segsweep.reports.reproduction.bits import same_bits
from segsweep.reports.reproduction.verdict import Verdict, compare_test, reproduction
from segsweep.runs.folder import RunFolder
from segsweep.statistics.seeds import repeatability
from tests.support.run_folders import CARD, write_run, write_test

NAMES = {**CARD, "strategy": {"name": "single"}}


@pytest.fixture
def old(tmp_path) -> RunFolder:
    return write_run(tmp_path / "runs", {"head": "none"}, {"single": 0.7})


def again(old: RunFolder, right: float, seed: int = 0, **card: object) -> RunFolder:
    """The same run, trained again as well as it may be."""
    new = write_run(old.path.parent.parent / "again", {"head": "none"})
    write_test(new.tests / "single", right, 30, {**NAMES, **card}, seed)
    return new


def with_weights(run: RunFolder, value: float) -> None:
    run.checkpoints.mkdir(exist_ok=True)
    torch.save({"state_dict": {"segmenter.a": torch.tensor([value, 2.0])}}, run.checkpoints / "last.ckpt")


def test_equal_counts_are_equal_if_the_weights_are(old):
    new = again(old, 0.7)
    assert reproduction(old, new).verdict is Verdict.WITHIN_NOISE  # nothing is known of the weights
    with_weights(new, 1.0)
    with_weights(old, 1.0)
    found = reproduction(old, new)
    # Its card tells of another checkpoint than the one that this test puts there.
    assert found.verdict is Verdict.NOT_EQUAL
    assert "is not the one that its test single was of (4567 then, " in found.doubts[0]
    assert replace(found, doubts=()).verdict is Verdict.EQUAL
    with_weights(new, 1.5)
    found = reproduction(old, new)
    assert (found.weights[0].unlike, found.weights[0].largest) == (1, pytest.approx(0.25))
    assert replace(found, doubts=()).verdict is Verdict.WITHIN_NOISE


def test_noise_over_images_is_what_the_paired_interval_holds(old):
    found = compare_test(old, again(old, 0.7, seed=1), "single")
    assert found.verdict is Verdict.WITHIN_NOISE
    assert found.difference.low < 0 < found.difference.high
    assert (found.seeds, np.isnan(found.limit)) == (1, True)


def test_a_larger_difference_is_not_noise_unless_seeds_differ_as_much(old):
    new = again(old, 0.72)
    found = compare_test(old, new, "single")
    assert found.verdict is Verdict.NOT_EQUAL
    assert found.difference.low > 0
    # Another configuration, and another protocol, say nothing about this one's seeds.
    write_run(old.path.parent, {"head": "aspp", "seed": 1}, {"single": 0.9})
    write_run(old.path.parent, {"head": "none", "seed": 1}, {"single": 0.9}, card={"split": "val"})
    assert compare_test(old, new, "single").seeds == 1
    write_run(old.path.parent, {"head": "none", "seed": 2}, {"single": 0.74})
    found = compare_test(old, new, "single")
    assert (found.seeds, found.verdict) == (2, Verdict.NOT_EQUAL)
    write_run(old.path.parent, {"head": "none", "seed": 3}, {"single": 0.68})
    found = compare_test(old, new, "single")
    assert (found.seeds, found.verdict) == (3, Verdict.WITHIN_NOISE)
    assert found.limit > found.difference.value


def test_other_images_or_protocols_are_not_compared(old):
    found = compare_test(old, again(old, 0.7, split="val"), "single")
    assert (found.verdict, found.unlike) == (Verdict.NOT_EQUAL, ("split val for test",))


def test_without_a_test_only_bits_count(old, tmp_path):
    bare = write_run(tmp_path / "a", {"head": "none"})
    other = write_run(tmp_path / "b", {"head": "none"})
    for run in (bare, other):
        with_weights(run, 1.0)
    assert reproduction(bare, other).verdict is Verdict.EQUAL
    with_weights(other, 1.0 + 1e-6)
    assert reproduction(bare, other).verdict is Verdict.NOT_EQUAL


def test_the_curve_is_compared_where_both_have_rows(old):
    new = again(old, 0.7)
    (new.path / "metrics.csv").write_text("step,epoch,loss,val_miou\n2,0.2,1.25,\n4,0.4,1.0,0.5\n8,0.8,1,\n")
    curve = reproduction(old, new).curve
    assert (curve.rows, curve.first, curve.largest) == (2, 2, {"loss": 0.25})


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ("step,epoch,loss\n1,0.1,2.0\n", "the same figures"),  # a column without figures
        ("step,epoch,loss,val_miou\n1,0.1,2.0,\n2,0.25,1.5,\n", "from step 2 on: epoch by up to 0.05"),
        ("step,loss\n1,2.0\n2,1.5\n", "from step 1 on: epoch is not a finite number in both"),
        ("step,epoch,loss\n1,0.1,inf\n2,0.2,1.25\n", "from step 1 on: loss is not a finite number in both"),
        ("step,lr,epoch,loss\n1,0.5,0.1,2.5\n", "loss by up to 0.5, lr is not a finite number in both"),
    ],
)
def test_what_differs_in_the_curve_is_named(old, metrics, told):
    new = again(old, 0.7)
    (new.path / "metrics.csv").write_text(metrics)
    (line,) = [line for line in lines(reproduction(old, new)) if line.startswith("  curve: ")]
    assert line.endswith(told)


def test_the_environment_is_told_by_kind(old):
    new = again(old, 0.7)
    file = Path(new.path / "environment.json")
    file.write_text('{"python": "3.12.1", "packages": {"torch": "2.12.1"}, "git_commit": "beef", "cpus": 4}')
    found = reproduction(old, new).surroundings
    assert found["code"] == ["git_commit c0ffee → beef"]
    assert found["packages"] == ["python 3.11.2 → 3.12.1"]
    assert found["hardware"] == ["cpus 2 → 4"]


def test_the_repeatability_limit_covers_pairs_of_seeds():
    """In 95 of 100 sets of three seeds, a pair drawn beside them is within the limit."""
    random = np.random.default_rng(0)
    within = [
        abs(np.subtract(*random.normal(size=2))) <= repeatability(random.normal(size=3)) for _ in range(4000)
    ]
    assert np.mean(within) == pytest.approx(0.95, abs=0.02)
    assert np.isnan(repeatability([0.5]))


def test_bits_are_those_of_the_memory():
    nan = torch.tensor([float("nan"), 0.0])
    assert same_bits(nan, nan.clone())
    assert not same_bits(torch.tensor(0.0), torch.tensor(-0.0))
    assert not same_bits(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    assert same_bits(torch.arange(6).view(2, 3).t(), torch.arange(6).view(2, 3).t().contiguous())
