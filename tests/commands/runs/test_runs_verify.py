"""`segsweep runs verify` finds each damage, names the file and calls a whole run whole."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.support.commands import TINY, segsweep
from tests.support.in_process import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with one trained and tested run."""
    folder = tmp_path_factory.mktemp("trained")
    segsweep("train", *TINY, cwd=folder)
    return folder


def test_a_whole_run_verifies(trained, capsys):
    assert run("verify", f"runs_dir={trained / 'runs'}") == 0
    assert "1 run checked: all are whole" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "damage", "word"),
    [
        ("plan.json", lambda text: text.replace(b'"head.width": 8', b'"head.width": 9'), "ids"),
        ("plan.json", lambda text: text[:99], "damaged"),
        ("config.yaml", lambda text: text[:200] + b"\n- [", "damaged"),
        ("status.json", lambda text: text[:20], "damaged"),
        ("metrics.csv", lambda text: text[:-9], "cut"),
        ("metrics.csv", lambda text: b"".join(text.splitlines(keepends=True)[:-2]), "2 of 8 rows up to the"),
        ("validation.csv", lambda text: text.splitlines(keepends=True)[0], "rows up to the"),
        ("checkpoints/SHA256SUMS", lambda text: bytes([text[0] ^ 1]) + text[1:], "which is whole"),
        ("checkpoints/last.ckpt", lambda text: text[:5000] + b"x" + text[5001:], "checksum"),
        ("checkpoints/best.ckpt", lambda text: text[:5000], "checksum"),
        ("tests/single/counts.npz", lambda text: text[:50], "tests/single"),
        ("tests/single/metrics.json", lambda text: text[:50], "tests/single"),
    ],
)
def test_verify_names_the_damage(trained, tmp_path, capsys, file, damage, word):
    shutil.copytree(trained / "runs", tmp_path / "runs")
    (path,) = (tmp_path / "runs").glob(f"*/{file}")
    path.write_bytes(damage(path.read_bytes()))
    assert run("verify", f"runs_dir={tmp_path / 'runs'}") == 1
    shown = capsys.readouterr().out
    assert word in shown
    assert file.split("/")[-1] in shown or word in shown.splitlines()[0]
    assert "1 run checked: 1 with problems" in shown
    assert run("verify", f"runs_dir={tmp_path / 'runs'}", "format=json") == 1
    problems = json.loads(capsys.readouterr().out)
    assert all(problem["repair"] for problem in problems)


def test_verify_misses_a_parent_and_another_runs_weights(chain, trained, runs, tmp_path, capsys):
    shutil.rmtree(chain[0].path)
    assert run("verify", chain[1].id, f"runs_dir={runs}") == 1
    assert f"the run it started from, {chain[0].id}, is not there" in capsys.readouterr().out
    shutil.copytree(trained / "runs", tmp_path / "other")
    (last,) = (tmp_path / "other").glob("*/checkpoints/last.ckpt")
    last.with_name("SHA256SUMS").unlink()
    torch.save({"state_dict": {}}, last)
    assert run("verify", f"runs_dir={tmp_path / 'other'}") == 1
    assert "is of other weights than the last.ckpt" in capsys.readouterr().out
