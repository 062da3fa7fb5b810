"""The chains of conf/stages, given alone: the runs of the papers, and what a command may replace in them."""

from collections.abc import Iterable, Iterator, Mapping

import pytest

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError
from segsweep.planning.composer import Composer
from segsweep.planning.plan import Member
from segsweep.planning.stages import Given, stage_overrides
from tests.support.composing import composing

# KSAC §4.1, §4.2, Table 1: from ImageNet, output stride 16, batches of 16 with Xception; flip 0.5, scales 0.5
# to 2.0 in steps of 0.25, crops of 513; SGD (momentum as stated for ADE20K).
KSAC = {
    "backbone.name": "xception65", "backbone.output_stride": 16, "backbone.pretrained": True,
    "head": "ksac", "head.rates": [6, 12, 18], "head.fuse": "sum", "head.decoder": True, "head.aux": [],
    "augment.flip": 0.5, "augment.scale_min": 0.5, "augment.scale_max": 2.0, "augment.scale_step": 0.25,
    "size": [513, 513], "batch_size": 16, "optimizer": "sgd", "optimizer.momentum": 0.9, "scheduler": "poly",
}  # fmt: skip
COCO = {"dataset": "coco_sbd_voc", "optimizer.lr": 1e-3, "trainer.max_steps": 300_000}
SBD = {"dataset": "voc_sbd", "optimizer.lr": 4e-4, "trainer.max_steps": 40_000}
VOC = {"dataset": "voc2012", "optimizer.lr": 2e-4, "trainer.max_steps": 30_000}
ADE20K = {
    "dataset": "ade20k", "head.rates": [1, 6, 12, 18, 24], "optimizer.lr": 2e-3, "trainer.max_steps": 150_000,
    "scheduler": "staircase", "scheduler.every": 30_000, "scheduler.factor": 0.5,
}  # fmt: skip
# ATONet: SGD 2e-2 with weight decay 1e-4, a tenth of both for pretrained layers, cosine to 1e-6, scales 1 to
# 2; bins 8, 4, 2 and losses 3, 4, 5 on the labels sampled down.
ATONET = {
    "backbone.name": "resnet18", "backbone.output_stride": 32, "backbone.pretrained": True,
    "head": "atonet", "head.spp": [8, 4, 2], "head.aux": [3, 4, 5], "head.aux_weights": 1.0,
    "head.aux_target": "labels_down", "head.dropout": 0.1,
    "augment.flip": 0.5, "augment.scale_min": 1.0, "augment.scale_max": 2.0,
    "optimizer": "sgd", "optimizer.lr": 2e-2, "optimizer.weight_decay": 1e-4,
    "optimizer.pretrained_lr_factor": 0.1, "optimizer.pretrained_weight_decay_factor": 0.1,
    "scheduler": "cosine", "scheduler.min_lr": 1e-6,
}  # fmt: skip
# 100 × 2,975 / 4, and 400 × 468 / 16 (train and val of CamVid).
ON_CITYSCAPES = {"dataset": "cityscapes", "size": [1024, 1024], "batch_size": 4, "trainer.max_steps": 74_375}
ON_CAMVID = {"dataset": "camvid720", "size": [720, 720], "batch_size": 16, "trainer.max_steps": 11_700}
# The released code: 2,975 / 4 and 468 / 16 are 744 and 30 steps an epoch, the last not full.
RELEASED = {
    "head.aux_target": "labels_cascade", "head.released": True,
    "augment.scale_step": None, "augment.aspect": 2.0,
    "optimizer.pretrained_parts": ["*.layer?.*.conv?.weight", "*.layer?.*.downsample.0.weight"],
}  # fmt: skip
# Dual ASPP §3.2, §4.1: output stride 32, no augmentation, whole images.
DUAL_ASPP = {
    "backbone.name": "mobilenetv2_100", "backbone.output_stride": 32, "backbone.pretrained": True,
    "head": "dual_aspp", "head.rates": [6, 12, 18], "head.fine_rates": [12, 24, 36], "head.width": 128,
    "head.fine_width": None, "head.skip": False, "head.separable": True, "head.aux": [],
    "dataset": "cityscapes", "size": [1024, 2048], "num_classes": 19,
    "augment.flip": 0.0, "augment.scale_min": 1.0, "augment.scale_max": 1.0,
}  # fmt: skip
FACTS = {
    "ksac_voc": [KSAC | COCO, KSAC | SBD, KSAC | VOC],
    "ksac_sbd_voc": [KSAC | SBD, KSAC | VOC],
    "ksac_ade20k": [KSAC | ADE20K],
    "atonet_cityscapes": [ATONET | ON_CITYSCAPES],
    "atonet_camvid": [ATONET | ON_CAMVID],
    "dual_aspp_cityscapes": [DUAL_ASPP],
    "atonet_cityscapes_released": [ATONET | RELEASED | ON_CITYSCAPES | {"scheduler.every": 744}],
    "atonet_camvid_released": [
        ATONET | RELEASED | ON_CAMVID | {"scheduler.every": 30, "dataset.val_split": "test"}
    ],
}


def found_in(one: Member, key: str) -> object:
    """What a planned run has under a key: a choice, or an option."""
    if key in one.choices:
        return one.choices[key]
    value: object = one.config
    for part in key.split("."):
        assert isinstance(value, Mapping)
        value = value[part]
    return value


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    with composing() as found:
        yield found


def shown(one: Member, keys: Iterable[str]) -> dict[str, object]:
    return {key: found_in(one, key) for key in keys}


def test_every_schedule_stands_below():
    assert set(FACTS) == set(config_files.choices("stages")) - {"single"}


@pytest.mark.parametrize("name", FACTS)
def test_a_schedule_alone_is_the_paper_s_run(name, composer):
    found = composer.member([f"stages={name}"]).lineage()
    assert len(found) == len(FACTS[name]) == len({one.id for one in found})
    for one, facts in zip(found, FACTS[name], strict=True):
        assert shown(one, facts) == facts
    assert [one.config["test"] == {} for one in found] == [True] * (len(found) - 1) + [False]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        # KSAC's smaller network: batches of 32, no decoder; both heads alike.
        (("stages=ksac_voc", "backbone=mobilenetv2"), {"batch_size": 32, "head.decoder": False}),
        (("stages=ksac_voc", "backbone=mobilenetv2"), {"backbone.pretrained": True, "head": "ksac"}),
        (("stages=ksac_voc", "head=aspp"), {"head": "aspp", "head.decoder": True, "batch_size": 16}),
        (("stages=ksac_voc", "backbone.output_stride=8", "batch_size=4"), {"batch_size": 4}),
        # ATONet's Table 3, and its schedule around another head.
        (("stages=atonet_camvid", "head=multi_pathway"), {"backbone.output_stride": 32, "head.aux": []}),
        (("stages=atonet_camvid", "head=aspp"), {"backbone.output_stride": 16, "head.aux": []}),
        (("stages=atonet_camvid", "head.spp=[6,3]"), {"head.spp": [6, 3], "head.aux": [3, 4, 5]}),
        # Dual ASPP's encoders and heads.
        (("stages=dual_aspp_cityscapes", "head=deeplabv3plus"), {"backbone.output_stride": 16}),
        (("stages=dual_aspp_cityscapes", "backbone=mobilenetv3_small"), {"backbone.last_expansion": False}),
        (("stages=dual_aspp_cityscapes", "backbone=resnet101"), {"backbone.last_expansion": None}),
        # A stage's own choice takes its options with it.
        (("stages=ksac_ade20k", "scheduler=step"), {"scheduler.milestones": [0.5, 0.75]}),
        (("stages=ksac_ade20k", "scheduler=plateau"), {"scheduler.patience": 0, "trainer.val_every": 30_000}),
        (("stages=atonet_camvid", "augment=none"), {"augment.scale_max": 1.0, "augment.flip": 0.0}),
        (("stages=atonet_camvid", "augment=paper"), {"augment.scale_min": 1.0}),
        (("stages=ksac_voc", "optimizer=adamw"), {"optimizer.lr": 3e-4}),
        (("stages=ksac_ade20k", "stages.ade20k.scheduler=step"), {"scheduler.gamma": 0.1}),
        (("stages=ksac_voc", "sampling=null"), {"head": "ksac"}),
    ],
)
def test_what_a_command_replaces(overrides, expected, composer):
    assert shown(composer.member(overrides), expected) == expected


def test_another_data_set_on_the_command_line_takes_the_places_of_all(composer):
    found = composer.member(["stages=ksac_voc", "dataset=shapes", "trainer.max_steps=4"]).lineage()
    assert [one.choices["dataset"] for one in found] == ["shapes"] * 3
    assert [one.config["trainer"]["max_steps"] for one in found] == [4, 4, 4]
    assert [one.config["optimizer"]["lr"] for one in found] == [1e-3, 4e-4, 2e-4]


def test_a_condition_without_a_group_is_told():
    with pytest.raises(ConfigError, match="when: hed=ksac: expected group=choice"):
        stage_overrides({"when": {"hed=ksac": {"batch_size": 2}}}, Given(), {}, lambda key: key == "head")
