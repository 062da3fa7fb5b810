"""Which changes make another run, and which find the same one again."""

import json
import random

import pytest

from segsweep.errors import ConfigError
from segsweep.runs.identity import IDENTITY, NOT_IDENTITY, classed, run_id
from segsweep.runs.settings import flatten
from tests.support.composing import member

# Ids must outlive every refactoring: a change here renames the runs of every user, and needs a new
# IDENTITY_VERSION and a line in the changelog.
FROZEN = {
    (): "9bd6c9eba469",
    ("backbone=resnet18", "head=aspp", "head.rates=[6,12,18,24]", "dataset=camvid", "seed=3"): "cd772bd72c6b",
    (
        "head=none",
        "optimizer=adamw",
        "scheduler=cosine",
        "loss=ohem",
        "augment=none",
        "size=64",
    ): "5587a47d6728",
    (
        "backbone=xception65",
        "head.decoder=true",
        "scheduler=plateau",
        "trainer.ema_decay=0.999",
    ): "f9c47706bb7c",
}


@pytest.mark.parametrize(("overrides", "expected"), FROZEN.items())
def test_ids_are_frozen(overrides, expected):
    assert member(*overrides).id == expected


SAME = [
    "trainer.devices=4", "trainer.accelerator=cpu", "trainer.log_every=50", "num_workers=8", "logger=wandb",
    "test=[ms_flip,slide]", "runs_dir=elsewhere", "data_dir=/data", "checkpoint.every=7",
    "checkpoint.test=best", "dataset.test_images=7", "sweep=mine", "force=true", "skip_invalid=true",
    "split=val", "optimizer.lr=1e-2", "optimizer.lr=0.010",
    "head.rates=[6, 12, 18]", "size=128", "size=[128,128]", "wait=false", "predictions=png",
    "trainer.on_nan=skip", "trainer.on_oom=shrink", "stages=single",
]  # fmt: skip

OTHER = [
    "seed=1", "batch_size=16", "size=129", "head=none", "head.rates=[6,12]", "head.rates=[18,12,6]",
    "backbone=resnet18", "backbone.output_stride=8", "backbone.pretrained=true", "dataset.data_seed=1",
    "augment=none", "augment.flip=0", "loss=ohem", "loss.class_weights=[1,1,1,1,1,2]", "optimizer.lr=0.02",
    "optimizer=adamw", "scheduler=cosine", "scheduler.power=1", "trainer.max_steps=501",
    "trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1",
    "trainer.ema_decay=0.99",
    "trainer.val_every=10", "dataset=camvid",
]  # fmt: skip


@pytest.mark.parametrize("override", SAME)
def test_what_cannot_change_the_weights_keeps_the_id(override):
    assert member(override).id == member().id


def test_what_can_change_the_weights_changes_the_id():
    ids = {override: member(override).id for override in OTHER}
    assert len({*ids.values(), member().id}) == len(OTHER) + 1


def test_a_data_sets_place_is_no_part_of_it():
    assert member("dataset=camvid", "dataset.root=/a").id == member("dataset=camvid", "data_dir=/b").id


def test_key_order_does_not_matter():
    config = member().config
    shuffled = dict(random.Random(0).sample(list(config.items()), len(config)))
    assert run_id(shuffled) == run_id(config)
    assert run_id(json.loads(json.dumps(dict(config)))) == run_id(config)


def test_an_option_added_as_null_renames_nothing():
    config = member().config
    assert run_id({**config, "head": {**config["head"], "new": None}}) == run_id(config)
    assert run_id({**config, "head": {**config["head"], "new": 1}}) != run_id(config)


def test_weights_count_by_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (member(f"backbone.weights={tmp_path / name}").id for name in "abc")
    assert a == b
    assert a != c
    with pytest.raises(ConfigError, match="/nowhere: No such file"):
        member("backbone.weights=/nowhere")


@pytest.mark.parametrize(
    "overrides", [(), ("dataset=camvid", "head=aspp", "logger=wandb", "loss=ohem", "optimizer=adamw")]
)
def test_every_field_is_classed(overrides):
    """A new field must be put in one of the two lists, by decision and not by default."""
    keys = [key for key, _ in flatten(member(*overrides).config)]
    assert [key for key in keys if classed(key) is None] == []
    assert not set(IDENTITY) & set(NOT_IDENTITY)
