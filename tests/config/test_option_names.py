"""The options that users type, frozen: renaming or removing one breaks their commands and their notes.

An addition passes. Enter it here once it is released.
"""

import pytest

from segsweep.config import groups as config_files

TOP = {
    "seed", "batch_size", "num_workers", "eval_batch_size", "num_classes", "size", "checkpoint", "split",
    "predictions", "runs_dir", "data_dir", "sweep", "init", "wait", "force", "skip_invalid",
    "on_failure", "retries", "early_stop",
}  # fmt: skip

CHOICES: dict[str, set[str]] = {
    "backbone": {
        "mobilenetv2",
        "xception65",
        "resnet18",
        "resnet101",
        "mobilenetv3_large",
        "mobilenetv3_small",
    },
    "head": {
        "ksac", "aspp", "none", "dual_aspp", "deeplabv3plus", "atonet", "encoder_decoder", "multi_pathway",
        "psp", "upernet", "deeplabv1", "deeplabv2", "deeplabv3", "fcn8s", "refinenet", "emanet", "encnet",
        "cfnet", "swiftnet",
    },
    "dataset": {
        "shapes", "camvid", "camvid720", "cityscapes", "ade20k",
        "voc2012", "sbd", "voc_sbd", "coco_voc", "coco_sbd_voc", "folder",
    },
    "augment": {"paper", "none"},
    "sampling": {"repeat_factor", "class_uniform"},
    "loss": {"cross_entropy", "ohem"},
    "optimizer": {"sgd", "adamw"},
    "scheduler": {"poly", "cosine", "step", "staircase", "plateau"},
    "stages": {
        "single", "ksac_voc", "ksac_sbd_voc", "ksac_ade20k",
        "atonet_cityscapes", "atonet_camvid", "dual_aspp_cityscapes",
    },
    "trainer": {"default"},
    "test": {"single", "flip", "ms", "ms_flip", "slide", "square", "center_crop", "half"},
    "logger": {"none", "csv", "wandb", "tensorboard", "mlflow"},
}  # fmt: skip

OPTIONS = {
    "backbone": {
        "name", "output_stride", "last_expansion", "pretrained", "weights", "mean", "std", "pyramid",
        "options",
    },
    "head": {
        "rates", "fuse", "separable", "width", "depth", "decoder", "dropout", "fine_rates", "fine_width",
        "skip", "spp", "bins", "norm", "pooled", "aux", "aux_weights", "aux_target",
    },
    "augment": {"scale_min", "scale_max", "scale_step", "flip", "fill", "extra"},
    "sampling": {"threshold", "share"},
    "loss": {"class_weights", "threshold", "min_kept"},
    "optimizer": {
        "lr", "momentum", "weight_decay", "nesterov", "betas",
        "pretrained_lr_factor", "pretrained_weight_decay_factor",
    },
    "scheduler": {"power", "min_lr", "milestones", "gamma", "every", "factor", "patience"},
    "trainer": {
        "max_steps", "val_every", "accelerator", "devices", "precision", "accumulate_grad_batches",
        "compile", "gradient_clip_val", "ema_decay", "log_every", "freeze", "on_nan", "on_oom",
        "sync_batchnorm",
    },
    "logger": {"project", "mode", "pictures", "services", "uri"},
}  # fmt: skip


def test_top_level_options():
    assert config_files.options("") >= TOP
    assert config_files.options("checkpoint") >= {"every", "minutes", "test"}


def test_axes():
    assert set(config_files.GROUPS) >= set(CHOICES)


@pytest.mark.parametrize("axis", CHOICES)
def test_choices_of_each_axis(axis):
    assert set(config_files.choices(axis)) >= CHOICES[axis]


@pytest.mark.parametrize("axis", OPTIONS)
def test_options_of_each_axis(axis):
    assert config_files.options(axis) >= OPTIONS[axis]


@pytest.mark.parametrize("name", sorted(CHOICES["test"]))
def test_test_strategies_share_their_options(name):
    content = config_files.read(dict(config_files.files("test"))[name])
    assert set(content) == {name}
    assert set(content[name]) >= {"_target_", "scales", "flip", "window", "stride", "output_stride"}
