"""`segsweep profile` from the command line: sweeps, experiments, one's own head, formats and mistakes."""

import csv
import io
import json
import re

import pytest

from segsweep import cli
from segsweep.commands.profile import DEFAULTS
from segsweep.config import groups as config_files
from segsweep.profiling import network as published
from tests.commands.test_user_errors import complaint
from tests.support.commands import table

MINE = """import torch
from segsweep.networks.heads.base import Head
class Mine(Head):
    def __init__(self, channels, reductions, num_classes, kernel):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels[-1], num_classes, kernel, bias=False)
    def forward(self, features):
        return self.conv(features[-1])
"""
ROWS = """# @package _global_
hydra:
  sweeper:
    params: {seed: "0,1"}
    rows:
      - head=aspp
      - head=aspp optimizer=adamw
      - head=ksac head.rates=[1,2]
      - head=mine
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A folder with a head and an experiment of the user's own, and the rows of the experiment's profile."""
    folder = tmp_path_factory.mktemp("profile")
    for name in ("head", "experiments"):
        (folder / "conf" / name).mkdir(parents=True)
    (folder / "my_head.py").write_text(MINE)
    (folder / "conf" / "head" / "mine.yaml").write_text("_target_: my_head.Mine\nkernel: 1\n")
    (folder / "conf" / "experiments" / "four.yaml").write_text(ROWS)
    options = ("backbone=resnet18", "dataset=camvid", "input=[64,96]", "seconds=0.01", "reference=ksac")
    return folder, table("profile", "-m", "+experiments=four", *options, cwd=folder)


def test_a_sweep_has_a_row_for_each_network(sweep):
    """Seeds and optimizers make other runs, not other networks; CamVid is not there and not needed."""
    assert [row["network"] for row in sweep[1]] == [
        "resnet18 aspp",
        "resnet18 ksac head.rates=[1,2]",
        "resnet18 mine",
    ]
    assert {(row["num_classes"], *row["input"]) for row in sweep[1]} == {(11, 64, 96)}


def test_nothing_is_written(sweep):
    assert {path.name for path in sweep[0].iterdir()} - {"__pycache__"} == {"conf", "my_head.py"}


def test_counts_of_ones_own_head(sweep):
    *_, mine = sweep[1]
    assert mine["head_m"] == 512 * 11 / 1e6
    assert mine["params_m"] == mine["training_params_m"] == pytest.approx(mine["encoder_m"] + mine["head_m"])
    # ResNet-18 without its classifier; dilated at output stride 16, which costs no parameters.
    assert mine["encoder_m"] == (11_689_512 - 512 * 1000 - 1000) / 1e6


def test_ratios_are_to_the_reference(sweep):
    aspp, ksac, mine = sweep[1]
    assert ksac["ratio"] == 1
    for row in (aspp, mine):
        assert row["ratio"] > 0
        assert row["images_per_second"] == pytest.approx(1000 / row["latency_ms"])
    assert aspp["rounds"] == ksac["rounds"] >= 5
    assert {row["precision"] for row in sweep[1]} == {"float32"}


def run(capfd, *arguments):
    assert cli.run(["profile", "input=64", "latency=false", *arguments]) == 0
    return capfd.readouterr().out


def test_published_figures_stand_beside(capfd, monkeypatch):
    row = {
        "name": "Table 9, row 2", "config": {"backbone": "resnet18", "head": "aspp"}, "size": [64, 64],
        "params_m": 15.31, "gmacs": None, "printed": {"a/table9": "head=aspp"},
        "discrepancy": "it is made up",
    }  # fmt: skip
    table = {"rows": [{"run": "head=aspp", "params": 15.0}]}
    monkeypatch.setattr(published, "counted_rows", lambda: [row])
    monkeypatch.setattr(published, "published_table", lambda name: table)
    (found,) = json.loads(run(capfd, "backbone=resnet18", "head=aspp", "format=json"))
    assert found["published"] == "Table 9, row 2"
    assert found["params_off_percent"] == pytest.approx(100 * (found["params_m"] / 15 - 1))
    text = run(capfd, "backbone=resnet18", "head=aspp")
    assert "resnet18 aspp, Table 9, row 2: it is made up" in text
    assert "published_gflops" not in text, "an empty column"


def test_the_papers_rows_are_found(capfd):
    """ATONet's Table 1 and the row of its Table 3 that is not met; half a network more is none of theirs."""
    network = ("backbone=resnet18", "backbone.output_stride=32", "head=atonet", "num_classes=19")
    wanted = {
        ("input=[1024,2048]",): ("atonet/table1 ATONet", 13.3, 134.5),
        ("input=1024", "head.spp=[]"): ("atonet/table3 aggregation", 12.58, 58.05),
        ("input=[1024,2048]", "head.width=192"): (None, None, None),
    }
    for options, (name, params, gflops) in wanted.items():
        assert cli.run(["profile", *network, *options, "latency=false", "format=json"]) == 0
        (row,) = json.loads(capfd.readouterr().out)
        assert (row["published"], row["published_params_m"], row["published_gflops"]) == (
            name,
            params,
            gflops,
        )
        assert (row["discrepancy"] is None) == (name != "atonet/table3 aggregation")


@pytest.mark.parametrize("size", [65, 513])
def test_parameters_alone_are_those_of_any_size(size, capfd):
    """KSAC prints no operations, and its networks have the printed parameters whatever they look at."""
    network = ("backbone=mobilenetv2", "head=aspp", "num_classes=21", f"input={size}")
    assert cli.run(["profile", *network, "latency=false", "format=json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["published_params_m"], row["published_gflops"]) == (4.5, None)
    assert row["params_off_percent"] == pytest.approx(100 * (4.5235 / 4.5 - 1), abs=0.01)


def test_csv_has_all_columns(capfd):
    rows = list(csv.DictReader(io.StringIO(run(capfd, "-m", "head=none,ksac", "head.width=8", "format=csv"))))
    assert [row["network"] for row in rows] == [f"mobilenetv2 {h} head.width=8" for h in ("none", "ksac")]
    assert {"params_m", "gmacs", "activations_mib", "saved_mib", "published", "discrepancy"} <= rows[0].keys()


def test_half_the_bytes_and_twice_the_images(capfd):
    whole, half, two = (
        json.loads(run(capfd, "format=json", *options))[0]
        for options in ((), ("precision=16",), ("batch=2",))
    )
    # Less than a hundredth are statistics, which are float32 and of no image.
    assert half["activations_mib"] == pytest.approx(whole["activations_mib"] / 2, rel=0.01)
    assert two["activations_mib"] == pytest.approx(whole["activations_mib"] * 2, rel=0.01)
    assert two["gmacs"] == half["gmacs"] == whole["gmacs"]


def test_no_launcher_trains(capfd, tmp_path, monkeypatch):
    """A launcher of the user's, on the command line or in an experiment, would execute the members."""
    monkeypatch.chdir(tmp_path)
    rows = json.loads(run(capfd, "-m", "head=none,ksac", "hydra/launcher=joblib", "format=json"))
    assert len(rows) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_is_timed_only_if_asked(capfd):
    assert cli.run(["profile", "-m", "head=none,ksac", "input=64"]) == 0
    assert "not timed: latency=true" in capfd.readouterr().out


def test_options_of_the_command_and_of_the_configuration_are_apart():
    assert not DEFAULTS.keys() & (config_files.options("") | set(config_files.GROUPS))


def test_help(capfd):
    assert cli.run(["profile", "--help"]) == 0
    text = capfd.readouterr().out
    assert all(f"  {name}=" in text for name in DEFAULTS)
    assert config_files.choices("head") == re.search(r"head= +(.*?)  ", text)[1].split()
    assert cli.run(["--help"]) == 0
    assert "  profile  " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("formt=json", ("formt", "did you mean format")),
        ("heed=ksac", ("heed", "head")),
        ("head.width_=8", ("head.width_", "did you mean width")),
        ("input=16", ("input=[16,16]", "16", "use input=32")),
        ("input=[64,10]", ("input=[64,10]", "16")),
        ("input=[1,2,3]", ("input=[1,2,3]", "[height,width]")),
        ("device=gpu", ("device=gpu", "cuda")),
        ("device=cuda:99", ("device=cuda:99", "torch finds", "device=cpu")),
        ("precision=fp16", ("precision=fp16", "bf16")),
        ("format=xml", ("format=xml", "json")),
        ("latency=maybe", ("latency=maybe", "true or false")),
        ("compile=maybe", ("compile=maybe", "true or false")),
        ("batch=0", ("batch=0", "at least 1")),
        ("num_classes=0", ("num_classes=0", "at least 1")),
        ("num_classes=abc", ("num_classes=abc", "at least 1")),
        ("seconds=0", ("seconds=0", "above 0")),
        ("reference=aspp", ("reference=aspp", "known: mobilenetv2 ksac")),
        ("latency=false seconds=3", ("seconds", "latency=false")),
        ("-m head=none,ksac head.rates=[0]", ("1 of 2 members", "none was started")),
    ],
)
def test_wrong_arguments(arguments, words, capfd):
    line = complaint(capfd, "profile", *arguments.split())
    for word in words:
        assert word in line
