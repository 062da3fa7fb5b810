"""Costs of a report's networks: each distinct one once, and in words what was not counted or timed."""

import json

import pytest
import yaml

from segsweep.errors import UserError
from segsweep.profiling import latency
from segsweep.reports.findings import network_costs as costs
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.findings.members import configurations
from segsweep.reports.findings.protocols import entries
from segsweep.reports.writers.flat_rows import flat_rows
from segsweep.reports.writers.text_table import text_tables
from tests.support.inside import planned

SMALL = ("head.width=16", "size=[48,64]")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One network at two learning rates, and another one."""
    place = f"runs_dir={tmp_path_factory.mktemp('costs')}"
    overrides = (("head=ksac", "optimizer.lr=0.1"), ("head=ksac", "optimizer.lr=0.2"), ("head=aspp",))
    return [planned(*some, *SMALL, place) for some in overrides]


@pytest.fixture
def rows(runs):
    return entries(configurations(runs))[0]


@pytest.fixture
def timed(monkeypatch):
    """What was to be timed; the first takes 1 ms, the second 2 ms."""
    asked = []

    def of_images(networks, device):
        asked.append((networks, device))
        return [1.0, 2.0][: len(networks)], "batch 1; here"

    monkeypatch.setattr(latency, "of_images", of_images)
    return asked


def test_the_network_of_several_rows_is_counted_and_timed_once(rows, timed):
    found = costs.network_costs(rows, "cpu")
    ((networks, device),) = timed
    assert device == "cpu"
    assert [(config.head["_target_"].rpartition(".")[2], size) for config, size in networks] == [
        ("Ksac", (48, 64)),
        ("Aspp", (48, 64)),
    ]
    assert found.latency_ms == {rows[0].id: 1, rows[1].id: 1, rows[2].id: 2}
    assert found.timed == "median of inference on an image of 64x48, batch 1; here"
    assert found.notes == [f"Latency: {found.timed}."]
    assert found.macs[rows[0].id] == found.macs[rows[1].id] != found.macs[rows[2].id]


def test_nothing_is_timed_unless_asked(rows, timed):
    found = costs.network_costs(rows)
    assert (timed, found.latency_ms, found.timed, found.notes) == ([], {}, None, [])
    assert len(found.params) == 3


def test_a_report_has_it_in_every_form(runs, timed):
    report = findings(runs, Wish(latency="cpu"))
    assert [row.latency_ms for row in report.rows] == [1, 1, 2]
    assert [row["latency_ms"] for row in flat_rows(report)] == [1, 1, 2]
    (table,) = text_tables(report)
    assert [line["latency (ms)"] for line in table.flat()] == ["1.00", "1.00", "2.00"]
    assert f"Latency: {report.timed}." in report.notes


def test_too_many_networks_are_a_note(rows, timed, monkeypatch):
    monkeypatch.setattr(costs, "MOST_TIMED", 1)
    found = costs.network_costs(rows, "cpu")
    assert found.latency_ms == {rows[0].id: 1, rows[1].id: 1}
    assert found.notes[0] == "Latency is measured of the first 1 of 2 networks."


def test_what_cannot_be_built_or_timed_is_a_note(rows, timed, monkeypatch):
    config = rows[2].configuration.members[0].folder.path / "config.yaml"
    before = config.read_text()
    content = yaml.safe_load(before)
    content["head"]["_target_"] = "stranger.Head"
    config.write_text(json.dumps(content))
    try:
        found = costs.network_costs(rows, "cpu")
    finally:
        config.write_text(before)
    assert "stranger.Head, which segsweep does not build here" in found.notes[0]
    assert set(found.latency_ms) == {rows[0].id, rows[1].id}

    def fails(networks, device):
        raise UserError("device=cpu: not enough memory")

    monkeypatch.setattr(latency, "of_images", fails)
    found = costs.network_costs(rows, "cpu")
    assert found.notes == ["Latency is not measured: device=cpu: not enough memory"]
    assert len(found.macs) == 3
