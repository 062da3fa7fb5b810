"""The chains of conf/stages: each stage is what its file says, and what the papers print."""

from collections.abc import Iterator

import pytest
import yaml

from segsweep.runs.config import files as config_files
from segsweep.runs.planning.plan import Member
from tests.runs.inside import chains


def leaves(stage: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in stage.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def found_in(one: Member, key: str) -> object:
    """What a planned run has under a key of its stage's file: a choice, or an option."""
    if key in one.choices:
        return one.choices[key]
    value: object = one.config
    for part in key.split("."):
        assert isinstance(value, dict)
        value = value[part]
    return value


@pytest.mark.parametrize("name", sorted(set(config_files.choices("stages")) - {"single"}))
def test_shipped_chains_are_what_their_files_say(name):
    (last,) = chains(f"stages={name}")
    stages = last.lineage()
    content = yaml.safe_load((config_files.root() / "conf" / "stages" / f"{name}.yaml").read_text())
    assert len(stages) == len(content) == len({one.id for one in stages})
    for one, stage in zip(stages, content.values(), strict=True):
        said = dict(leaves(stage))
        assert said
        assert {key: found_in(one, key) for key in said} == said
    assert [one.config["test"] == {} for one in stages] == [True] * (len(stages) - 1) + [False]


def test_the_three_stages_of_ksac():
    """Section 4.1: COCO + SBD + VOC at 1e-3, SBD + VOC at 4e-4, VOC at 2e-4; 300 K and 40 K steps."""
    (last,) = chains("stages=ksac_voc")
    shown = [(one.choices["dataset"], one.config["optimizer"]["lr"]) for one in last.lineage()]
    assert shown == [("coco_sbd_voc", 1e-3), ("voc_sbd", 4e-4), ("voc2012", 2e-4)]
    assert [one.config["trainer"]["max_steps"] for one in last.lineage()][:2] == [300_000, 40_000]


def test_another_data_set_on_the_command_line_takes_the_places_of_all():
    (last,) = chains("stages=ksac_voc", "dataset=shapes", "trainer.max_steps=4")
    stages = last.lineage()
    assert [one.choices["dataset"] for one in stages] == ["shapes"] * 3
    assert [one.config["trainer"]["max_steps"] for one in stages] == [4, 4, 4]
    assert [one.config["optimizer"]["lr"] for one in stages] == [1e-3, 4e-4, 2e-4]
