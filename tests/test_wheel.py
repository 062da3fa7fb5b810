"""The wheel works in an empty folder, far from the checkout, with its configuration inside."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from segsweep.config.groups import root
from tests.support.api_examples import furnish, run_examples
from tests.support.commands import TINY, environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root())]
    subprocess.run(build, check=True, capture_output=True, env=environment())
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_configuration_and_experiments(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "experiments"):
        shipped = {f"segsweep/{path.relative_to(root())}" for path in (root() / folder).rglob("*.yaml")}
        assert shipped
        assert shipped <= names
    writers = root() / "src" / "segsweep" / "reports" / "writers"
    drawn_by = [path for kind in ("page", "charts", "templates") for path in (writers / kind).glob("*.*")]
    assert len(drawn_by) > 15
    assert {f"segsweep/reports/writers/{path.relative_to(writers)}" for path in drawn_by} <= names
    assert {"hydra_plugins/segsweep_plugins.py", "segsweep/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_an_installed_wheel_trains_in_an_empty_folder(wheel, tmp_path):
    """A fresh environment; what segsweep depends on is lent by this one, as it takes minutes to install."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lent = home / "lib" / version / "site-packages" / "lent.pth"
    lent.write_text(sysconfig.get_paths()["purelib"] + "\n")
    work = tmp_path / "work"
    work.mkdir()
    code = "import segsweep; print(segsweep.__file__)"
    where = subprocess.run(
        [python, "-c", code], cwd=work, env=environment(), capture_output=True, text=True, check=True
    )
    assert where.stdout.startswith(str(home))
    train = [home / "bin" / "segsweep", "train", *TINY, "trainer.max_steps=2"]
    result = subprocess.run(train, cwd=work, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (tested,) = work.glob("runs/*/tests/single/metrics.json")
    listed = subprocess.run(
        [home / "bin" / "segsweep", "train", "--help"], capture_output=True, text=True, cwd=work
    )
    experiments = next(line for line in listed.stdout.splitlines() if "+experiments=" in line)
    assert {"camvid_heads", "demo", "ksac/table2", "atonet/table4"} <= set(experiments.split())
    profile = [home / "bin" / "segsweep", "profile", "backbone=mobilenetv2", "head=ksac", "num_classes=21"]
    counted = subprocess.run([*profile, "latency=false"], capture_output=True, text=True, cwd=work)
    assert "published" in counted.stdout, "experiments/counted.yaml travels too"
    furnish(work, tested.parents[2])
    examples = run_examples(python, work, environment())
    assert examples.returncode == 0, examples.stderr
    assert (work / "my-network" / "README.md").is_file()
