"""The benchmarks run, each as short as it can be; what they measure is not looked at."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHORT = {
    "op": "--seconds 0.001 --rates 1 3 --channels 8 --maps 5x7 --width 8",
    "networks": "--seconds 0.001 --encoders mobilenetv2 --size 64x64",
    "step": "--quick",
    "neighbours": "--size 32x32 --batch 2",
    "evaluator": "--seconds 0.001 --images 1 --passes 1",
    "evaluator_memory": "--sizes 64x96",
    "speeds": "--seconds 0.001 --scale 0.05",
    "startup": "--rounds 1",
    "planning": "--members 40 --sweeps plain chains",
    "sweep_statistics": "--members 3",
    "gpu_runs": "--quick --device cpu",
    "gpu_tests": "--quick --device cpu",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_benchmark_writes_its_tables(name, tmp_path):
    if name == "networks" and find_spec("segmentation_models_pytorch") is None:
        pytest.skip("needs the extra `bench`")
    file = tmp_path / f"{name}.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *SHORT[name].split(), "--json", str(file)]
    subprocess.run(command, cwd=ROOT, check=True)
    tables = json.loads(file.read_text())["tables"]
    assert tables
    assert all(rows and all(row.keys() == rows[0].keys() for row in rows) for rows in tables.values())


@pytest.mark.slow
def test_the_gpu_script_says_how_each_part_ended(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", str(tmp_path), "--device", "cpu", "--quick"]
    chosen = ["--parts", "speeds", "gpu_tests"]
    printed = subprocess.run([*command, *chosen], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    ended = {row["part"]: row["ended"] for row in json.loads((tmp_path / "summary.json").read_text())}
    assert ended == {"speeds": "done", "gpu_tests": "done"}
    assert printed.stdout.splitlines()[-1].startswith("| gpu_tests | done |")


def test_a_part_that_hangs_is_stopped_and_named(tmp_path, monkeypatch):
    from benchmarks import gpu

    hanging = gpu.Part("none", seconds=1)
    script = "import time; print('so far', flush=True); time.sleep(60)"
    monkeypatch.setattr(gpu.Part, "command", lambda *_: [sys.executable, "-c", script])
    row = gpu.run(hanging, tmp_path, "cpu", False, end=float("inf"))
    assert (row["ended"], row["last words"]) == ("stopped after 1 s", "so far")
