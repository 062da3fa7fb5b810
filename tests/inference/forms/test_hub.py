"""Hub folders: written, read by the Hub's own library, loaded again with equal bits."""

import json
import shutil

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from segsweep import builders
from segsweep.commands import export, report
from segsweep.errors import ConfigError, DamagedFileError, UserError
from segsweep.inference.load import load
from tests.support.inside import weights


@pytest.fixture(scope="session")
def hub(trained_run, tmp_path_factory):
    """The run's folder; read it only."""
    target = tmp_path_factory.mktemp("exported") / "net"
    assert export.main([str(trained_run.path), "format=hub", f"out={target}"]) == 0
    return target


@pytest.fixture
def copied(hub, tmp_path):
    return shutil.copytree(hub, tmp_path / "received" / "net")


def test_a_folder_predicts_as_its_run(trained_run, network, hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = load(hub, "cpu")
    assert loaded.description == network.description
    for sample in builders.build_dataset(trained_run.config()).split("test"):
        for test in ("single", "flip"):
            mine, other = (one.predict(sample.image, test, probabilities=True) for one in (network, loaded))
            assert np.array_equal(mine.labels, other.labels)
            assert np.array_equal(mine.probabilities, other.probabilities)
    wide = loaded.network_at(32)(torch.zeros(1, 3, 64, 64))
    assert torch.equal(wide, network.network_at(32)(torch.zeros(1, 3, 64, 64)))


def test_its_tensors_are_the_checkpoints(trained_run, hub):
    kept = {k: v for k, v in weights(trained_run).items() if not k.startswith("head.auxiliary.")}
    found = load_file(hub / "model.safetensors")
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[name], kept[name]) for name in kept)


def test_the_hubs_own_library_reads_the_card(trained_run, network, hub):
    card = ModelCard.load(hub / "README.md")
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.license) == ("segsweep", "image-segmentation", "other")
    assert data.model_name == network.description.name
    results = {result.metric_name: result for result in data.eval_results}
    assert set(results) == {"mIoU, single", "mIoU, flip"}
    for name, test in network.description.tests.items():
        found = results[f"mIoU, {name}"]
        kept = json.loads((trained_run.tests / name / "metrics.json").read_text())
        assert (found.dataset_type, found.dataset_split, found.metric_type) == ("shapes", "test", "mean_iou")
        assert found.metric_value == kept["miou"]
        assert found.metric_args["interval_95"] == [test.low, test.high]
        assert (found.metric_args["seeds"], found.metric_args["images"]) == ([0], 6)
        assert "last training step" in found.metric_args["selection"]
        assert f"| {100 * kept['miou']:.2f} | {100 * test.low:.2f} to {100 * test.high:.2f} |" in card.text
    assert "- Data: Shapes: drawn by segsweep, MIT" in card.text
    assert "- Initial weights: random\n" in card.text
    assert "{" not in card.text
    assert ModelCard(str(card)).data.to_dict() == data.to_dict()


def test_a_card_says_what_groups_do_to_the_interval_and_what_the_licence_is(grouped_run, tmp_path):
    asked = [str(grouped_run.path), "format=hub", "checkpoint=last"]
    assert export.main([*asked, f"out={tmp_path / 'a'}", "licence=cc-by-nc-4.0"]) == 0
    assert export.main([*asked, f"out={tmp_path / 'b'}", "licence=My own terms"]) == 0
    card, other = (ModelCard.load(tmp_path / name / "README.md") for name in "ab")
    assert (card.data.license, other.data.license) == ("cc-by-nc-4.0", "other")
    assert other.data.license_name == "My own terms"
    assert "- These weights: cc-by-nc-4.0\n" in card.text
    groups = load(tmp_path / "a", "cpu").description.tests["flip"].groups
    assert f"{100 * groups.low:.2f} to {100 * groups.high:.2f} (blocks; conditional on these 2 " in card.text
    kept = {result.metric_name: result.metric_args for result in card.data.eval_results}
    assert kept["mIoU, flip"]["interval_95_over_groups"]["low"] == groups.low


@pytest.fixture
def sisters(trained_run, tmp_path):
    """The run, beside it one with another seed and figures, and one that differs in more than its seed."""
    for number, changed in enumerate(({}, {"seed": 1, "dataset.seed": 1}, {"seed": 1, "optimizer.lr": 0.5})):
        id = trained_run.id if not changed else f"{number:012x}"
        folder = shutil.copytree(trained_run.path, tmp_path / "runs" / id)
        plan = json.loads((folder / "plan.json").read_text())
        plan["identity"] |= changed
        (folder / "plan.json").write_text(json.dumps({**plan, "id": id}))
    other = tmp_path / "runs" / f"{1:012x}"
    shutil.rmtree(other / "tests" / "flip")
    metrics = json.loads((other / "tests" / "single" / "metrics.json").read_text())
    (other / "tests" / "single" / "metrics.json").write_text(json.dumps(metrics | {"miou": 0.5}))
    return tmp_path / "runs"


def test_a_card_has_the_figures_over_seeds_of_the_report(sisters, trained_run, tmp_path, capsys):
    asked = [trained_run.id, "format=hub", f"runs_dir={sisters}", f"out={tmp_path / 'net'}"]
    assert export.main(asked) == 0
    capsys.readouterr()
    lr = trained_run.plan.identity["optimizer.lr"]
    words = [f"optimizer.lr={lr}", f"runs_dir={sisters}", "format=json", f"out={tmp_path / 'report'}"]
    assert report.main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)
    card = ModelCard.load(tmp_path / "net" / "README.md")
    found = {result.metric_name: result.metric_args for result in card.data.eval_results}
    single, own = found["mIoU, single"], trained_run.read_tests()["single"][0].miou
    assert (single["seeds"], single["seed"], found["mIoU, flip"]["seeds"]) == ([0, 1], 0, [0])
    both = single["over_seeds"]
    assert both["mious"] == [own, 0.5]
    assert (both["mean"], both["std"]) == pytest.approx(((own + 0.5) / 2, abs(own - 0.5) / 2**0.5))
    assert [both[key] for key in ("mean", "std", "low", "high")] == pytest.approx(
        [row[key] for key in ("single", "single_std", "single_low", "single_high")]
    )
    assert f"| single | 0, 1 | {50 * (own + 0.5):.2f} ± " in card.text
    assert load(tmp_path / "net", "cpu").description.tests["single"].over_seeds.seeds == (0, 1)


def test_nothing_is_written_over(hub, trained_run):
    with pytest.raises(UserError, match="net: is there already; remove it, or name another folder with out="):
        export.main([str(trained_run.path), "format=hub", f"out={hub}"])
    assert not list(hub.parent.glob(".*"))


def test_a_damaged_folder_is_an_error_that_names_its_file(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "num_classes": "many"}))
    with pytest.raises(
        DamagedFileError, match=r"config\.json: has no whole description.*num_classes is 'many'"
    ):
        load(copied, "cpu")
    config["network"]["num_classes"] = 7
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(DamagedFileError, match=r"model\.safetensors: does not hold the tensors"):
        load(copied, "cpu")
    (copied / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(DamagedFileError, match=r"model\.safetensors: damaged"):
        load(copied, "cpu")


def test_a_folder_builds_nothing_that_it_brings(copied, monkeypatch, tmp_path):
    """Not even if it lies in the working folder, with its class beside it or within it."""
    ran = tmp_path / "ran"
    code = f"from segsweep.networks.heads.ksac import Ksac\nopen({str(ran)!r}, 'w').close()\n"
    (copied / "theirs.py").write_text(code)
    config = json.loads((copied / "config.json").read_text())
    for here, target in ((copied, "theirs.Ksac"), (copied.parent, "net.theirs.Ksac")):
        monkeypatch.chdir(here)
        config["network"]["head"]["_target_"] = target
        (copied / "config.json").write_text(json.dumps(config))
        with pytest.raises(ConfigError, match="is neither segsweep's nor of your conf/ or working folder"):
            load(copied, "cpu")
        assert not ran.exists()


def test_a_wrong_form_is_an_error_with_near_names(trained_run):
    with pytest.raises(UserError, match=r"format=hubb: did you mean hub\?"):
        export.main([str(trained_run.path), "format=hubb"])
    with pytest.raises(UserError, match="expected one run"):
        export.main(["format=hub"])
