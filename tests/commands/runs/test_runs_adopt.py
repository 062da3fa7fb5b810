"""`segsweep runs adopt`: weights from elsewhere are a done run, if they are of the network that is named."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segsweep import builders
from segsweep.errors import UserError
from tests.support.commands import TINY, segsweep
from tests.support.composing import composed, configuration
from tests.support.in_process import listed, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with one trained and tested run."""
    folder = tmp_path_factory.mktemp("trained")
    segsweep("train", *TINY, cwd=folder)
    return folder


def network(*overrides: str) -> dict[str, torch.Tensor]:
    """Weights of a network of these options, drawn anew."""
    with configuration():
        config = composed(*TINY, *overrides).config
    torch.manual_seed(1)
    return builders.build_segmenter(config, load_weights=False).state_dict()


def saved(file: Path, state: dict[str, torch.Tensor]) -> Path:
    """The state in the form that the file's name stands for."""
    if file.suffix == ".safetensors":
        save_file({f"module.{key}": value for key, value in state.items()}, file)
    elif file.suffix == ".ckpt":
        torch.save({"state_dict": {f"net.{k}": v for k, v in state.items()}, "global_step": 7}, file)
    else:
        torch.save(state, file)
    return file


@pytest.mark.parametrize(("name", "step"), [("a.pth", 0), ("b.safetensors", 0), ("c.ckpt", 7)])
def test_adopted_weights_are_a_done_run_whatever_they_came_in(tmp_path, runs, capsys, name, step):
    state = network("head.aux=[1]")
    for _ in range(2):  # the second time it is there already
        assert run("adopt", str(saved(tmp_path / name, state)), *TINY, f"runs_dir={runs}") == 0
    (row,) = listed(runs, capsys).values()
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert (row["state"], row["step"], row["adopted"]) == ("done", step, f"sha256:{digest[:16]}")
    checkpoint = torch.load(runs / row["id"] / "checkpoints" / "last.ckpt", weights_only=True)
    assert {key.removeprefix("segmenter.") for key in checkpoint["state_dict"]} == set(state)
    assert all(torch.equal(checkpoint["state_dict"][f"segmenter.{k}"], v) for k, v in state.items())
    run("show", row["id"], f"runs_dir={runs}", "format=json")
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["adopted"]["path"] == str(tmp_path / name)
    assert shown["adopted"]["sha256"] == digest
    assert run("verify", f"runs_dir={runs}") == 0


def test_an_adopted_run_is_tested_and_no_training_is_taken_for_it(trained, runs, tmp_path, capsys):
    """The weights of a trained run, adopted, have that run's figures under an id of their own."""
    shutil.copytree(trained / "runs", runs)
    (first,) = listed(runs, capsys).values()
    weights = runs / first["id"] / "checkpoints" / "last.ckpt"
    run("adopt", str(weights), *TINY, f"runs_dir={runs}")
    rows = listed(runs, capsys)
    (adopted,) = rows.keys() - {first["id"]}
    assert rows[adopted]["adopted"]
    segsweep("test", adopted, "test=[single]", cwd=tmp_path)
    card, own = (
        json.loads((runs / id / "tests" / "single" / "protocol.json").read_text())
        for id in (adopted, first["id"])
    )
    assert card["initial_weights"].startswith("adopted, sha256:")
    assert own["initial_weights"] == "random"
    assert {row["miou"] for row in listed(runs, capsys).values()} == {first["miou"]}
    assert run("verify", f"runs_dir={runs}") == 0


def test_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = network()
    state["head.extra.weight"] = state.pop("mean")
    file = saved(tmp_path / "a.pth", state)
    with pytest.raises(UserError, match=r"tensors 1 missing \(mean\); 1 unknown \(head\.extra\.weight\)"):
        run("adopt", str(file), *TINY)
    with pytest.raises(UserError, match=r"of another shape \(head\.context.* \[8, .* for \[16, "):
        run("adopt", str(saved(tmp_path / "b.pth", network())), *TINY, "head.width=16")
    (tmp_path / "c.pth").write_text("text")
    with pytest.raises(UserError, match=r"c\.pth: not readable as weights"):
        run("adopt", str(tmp_path / "c.pth"), *TINY)
    with pytest.raises(UserError, match="more than one run"):
        run("adopt", str(file), *TINY, "stages=ksac_voc", "dataset=shapes")
    with pytest.raises(UserError, match=r"nowhere\.pth: No such file"):
        run("adopt", "nowhere.pth", *TINY)
    assert not (tmp_path / "runs").exists()
