"""Every shipped YAML composes, is of the right kinds, and builds."""

import pytest

from segsweep.config import groups as config_files
from segsweep.planning.plan import check_member
from tests.support.composing import member

CHOICES = [f"{group}={name}" for group in config_files.GROUPS for name in config_files.choices(group)]
CHOICES.remove("loss=sum")  # a list of losses becomes it, see tests/training/test_more_losses.py


@pytest.mark.parametrize("override", [c if not c.startswith("test=") else f"test=[{c[5:]}]" for c in CHOICES])
def test_every_choice_builds(override, data_dir):
    if override == "logger=mlflow":
        pytest.importorskip("mlflow", reason="an extra of segsweep that is not installed")
    check_member(member(override, "trainer.accelerator=cpu", f"data_dir={data_dir}"))


@pytest.mark.parametrize("backbone", config_files.choices("backbone"))
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_every_backbone_has_every_output_stride(backbone, output_stride):
    check_member(
        member(f"backbone={backbone}", f"backbone.output_stride={output_stride}", "head.decoder=true")
    )


def test_every_experiment_says_what_it_is():
    assert config_files.choices("experiments")
    for _, file in config_files.files("experiments"):
        head = file.read_text().splitlines()[:8]
        assert head[0] == "# @package _global_"
        assert all(
            any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Published", "Cost")
        )
