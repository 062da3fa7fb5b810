"""docs/api.md: every example runs, and every stable name is there."""

import sys
from pathlib import Path

import pytest

import segsweep
from segsweep.config.groups import root
from tests.support.api_examples import blocks, furnish, run_examples
from tests.support.commands import environment


@pytest.mark.slow  # tests/test_wheel.py runs them from an installed wheel
def test_every_example_runs(trained_run, tmp_path):
    furnish(tmp_path, trained_run.path)
    result = run_examples(Path(sys.executable), tmp_path, environment())
    assert result.returncode == 0, result.stderr
    assert "no run in runs with an id beginning '3f9d'" in result.stdout
    assert (tmp_path / "my-network" / "model.safetensors").is_file()


def test_every_stable_name_has_its_place():
    page = (root() / "docs" / "api.md").read_text()
    assert all(
        f"`{name}" in page or f"segsweep.{name}" in page for name in segsweep.__all__ if name[0] != "_"
    )
    assert len(blocks()) > 12
