"""The options that users type, frozen: renaming one breaks their commands and their notes."""

from segsweep.runs import config_files

TOP = {
    "seed", "batch_size", "num_workers", "num_classes", "size", "checkpoint", "split",
    "runs_dir", "data_dir", "sweep", "force", "skip_invalid",
}  # fmt: skip

CHOICES = {
    "backbone": {
        "mobilenetv2",
        "xception65",
        "resnet18",
        "resnet101",
        "mobilenetv3_large",
        "mobilenetv3_small",
    },
    "head": {"ksac", "aspp", "none"},
    "dataset": {"shapes", "camvid"},
    "augment": {"paper", "none"},
    "loss": {"cross_entropy", "ohem"},
    "optimizer": {"sgd", "adamw"},
    "scheduler": {"poly", "cosine", "step", "plateau"},
    "trainer": {"default"},
    "test": {"single", "flip", "ms", "ms_flip", "slide"},
    "logger": {"none", "csv", "wandb"},
}

OPTIONS = {
    "backbone": {"name", "output_stride", "pretrained", "weights", "mean", "std", "options"},
    "head": {"rates", "fuse", "separable", "width", "decoder", "dropout"},
    "augment": {"size", "scale_min", "scale_max", "scale_step", "flip", "fill"},
    "loss": {"class_weights", "auxiliary_weight", "threshold", "min_kept"},
    "optimizer": {
        "lr", "momentum", "weight_decay", "nesterov", "betas",
        "pretrained_lr_factor", "pretrained_weight_decay_factor",
    },
    "scheduler": {"power", "min_lr", "milestones", "gamma", "factor", "patience"},
    "trainer": {
        "max_steps", "val_every", "accelerator", "devices", "precision", "accumulate_grad_batches",
        "gradient_clip_val", "ema_decay", "log_every",
    },
    "logger": {"project", "mode", "pictures"},
}  # fmt: skip


def test_top_level_options():
    assert config_files.options("") == TOP
    checkpoint = config_files.read(config_files.root() / "conf" / "config.yaml")["checkpoint"]
    assert set(checkpoint) == {"every", "test"}


def test_axes_and_choices():
    assert set(config_files.GROUPS) == set(CHOICES)
    assert {group: set(config_files.choices(group)) for group in CHOICES} == CHOICES


def test_options_of_each_axis():
    assert {group: config_files.options(group) for group in OPTIONS} == OPTIONS


def test_test_strategies_share_their_options():
    for name in CHOICES["test"]:
        content = config_files.read(dict(config_files.files("test"))[name])
        assert set(content) == {name}
        assert set(content[name]) == {"_target_", "scales", "flip", "window", "stride", "output_stride"}
