"""Sweeps over choices with unlike options: what each member is, and what stays a mistake."""

import json
import logging

import pytest
import yaml

from segsweep import cli
from segsweep.errors import ConfigError
from tests.support.inside import chains

SMALL = ("backbone=mobilenetv3_small", "size=64")


def members(*overrides):
    return [(m.choices["head"], m.config["head"].get("rates")) for m in chains(*SMALL, *overrides)]


def test_a_baseline_is_run_once_without_the_axis_that_it_lacks(caplog):
    with caplog.at_level(logging.INFO, logger="segsweep"):
        found = members("head=none,aspp,ksac", "head.rates=[1,2],[3]")
    assert found == [("none", None), *((head, r) for head in ("aspp", "ksac") for r in ([1, 2], [3]))]
    assert [r.message for r in caplog.records] == ["head=none has no head.rates: run once, without it"]


def test_an_option_of_a_head_that_is_not_the_default():
    found = chains(*SMALL, "head=none,atonet", "head.spp=[4,2]")
    assert [m.config["head"].get("spp") for m in found] == [None, [4, 2]]


@pytest.mark.parametrize("heads", ["head=none", "head=none,encoder_decoder", "head=none,atonet"])
def test_an_option_that_no_member_has_is_a_mistake(heads):
    with pytest.raises(ConfigError, match=r"no such option; .*aspp, .* and ksac have it"):
        chains("-m", *SMALL, heads, "head.rates=[1],[2]")
    with pytest.raises(ConfigError, match="scheduler chosen here has no such option; plateau has it"):
        chains("-m", *SMALL, "scheduler=poly,step", "scheduler.patience=1")


def test_plan_and_train_agree(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axes = ("-m", *SMALL, "head=none,aspp", "head.rates=[1],[2]", "format=json")
    assert cli.run(["plan", *axes, "configs=true"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["totals"]["members"], found["totals"]["runs"]) == (3, 3)
    assert [row["id"] for row in found["runs"]] == [m.id for m in chains(*axes[1:-1])]
    assert [row["config"]["head"].get("rates") for row in found["runs"]] == [None, [1], [2]]


def test_null_is_a_choice_of_sampling_alone_and_on_an_axis():
    (alone,) = chains(*SMALL, "sampling=null")
    assert alone.id == chains(*SMALL)[0].id
    both = chains(*SMALL, "sampling=null,class_uniform")
    assert both[0].id == alone.id
    assert [m.choices.get("sampling") for m in both] == [None, "class_uniform"]
    assert both[0].overrides[-1] == "sampling=null"
    with pytest.raises(ConfigError, match="head=null: no such choice; known: aspp"):
        chains("head=null")


def test_the_configuration_of_every_stage_is_printed_and_nothing_started(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (last,) = chains("stages=ksac_voc", "backbone=mobilenetv2")
    for command in ("train", "plan"):
        assert cli.run([command, "--cfg", "job", "stages=ksac_voc", "backbone=mobilenetv2"]) == 0
        printed = list(yaml.safe_load_all(capfd.readouterr().out))
        assert printed == [one.config for one in last.lineage()]
    assert list(tmp_path.iterdir()) == []


def test_a_whole_network_is_run_once_beside_parts(caplog):
    with caplog.at_level(logging.INFO, logger="segsweep"):
        found = chains("network=enet,null", "head=aspp,ksac", "head.rates=[1],[2]", "size=64")
    assert [(m.choices.get("network"), m.choices.get("head"), m.config.head.get("rates")) for m in found] == [
        ("enet", None, None), *((None, head, rates) for head in ("aspp", "ksac") for rates in ([1], [2]))
    ]  # fmt: skip
    assert [r.message for r in caplog.records] == [
        "network=enet has no head: run once, without it",
        "network=enet has no head.rates: run once, without it",
    ]
