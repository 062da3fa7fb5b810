"""Published rows beside measured figures."""

import pytest

from segsweep.profiling import network as published

ROWS = [
    {
        "name": "A",
        "config": {"backbone": "resnet18", "head": "aspp"},
        "size": [512, 1024],
        "params_m": 15.31,
        "gmacs": 30.0,
        "printed": {"a/table1": "head=aspp", "a/table2": "head=aspp"},
        "discrepancy": "the paper counts otherwise",
    },
    {
        "name": "B",
        "config": {"backbone": "resnet18", "head": "aspp", "head.rates": [6, 12], "num_classes": 19},
        "size": [512, 1024],
        "params_m": 15.31,
        "gmacs": 30.0,
        "printed": {"a/table2": "head=aspp head.rates=[6,12]"},
        "discrepancy": None,
    },
]
TABLES = {
    "a/table1": [{"run": "head=none", "params": 1.0}, {"run": "head=aspp", "params": 16.0, "gflops": 25}],
    "a/table2": [{"params": 2.0}, {"run": "head=aspp head.rates=[6,12]", "params": 15.3}],
}
VALUES = {"backbone": "resnet18", "head": "aspp", "head.rates": [6, 12], "head.width": 256, "num_classes": 19}
FIGURES = {"params_m": 15.312, "gmacs": 30.01}
SIZE = (512, 1024)


@pytest.fixture(autouse=True)
def _counted(monkeypatch):
    monkeypatch.setattr(published, "counted_rows", lambda: ROWS)
    monkeypatch.setattr(published, "published_table", lambda name: {"rows": TABLES[name]})


def found(size=SIZE, figures=FIGURES, **changes):
    return published.find({**VALUES, **changes}, figures, size)


def test_the_row_that_says_most_is_taken():
    assert found()["name"] == "B"
    assert found(num_classes=21)["name"] == "A"
    assert published.find(VALUES | {"head.rates": (6.0, 12)}, FIGURES, SIZE)["name"] == "B"


def test_another_network_has_no_row():
    assert found(backbone="resnet101") is None
    assert found(size=(1024, 512)) is None
    assert found(figures={"params_m": 15.312, "gmacs": 31}) is None, "its width is another"
    assert published.find({"backbone": "resnet18"}, FIGURES, SIZE) is None, "it has no such option"


def test_differences_in_percent():
    columns = published.beside(found(num_classes=21), FIGURES)
    assert columns == {
        "published": "A",
        "published_params_m": 16.0,
        "params_off_percent": pytest.approx(-4.3),
        "published_gflops": 25,
        "gflops_off_percent": pytest.approx(20.04),
        "discrepancy": "the paper counts otherwise",
    }


def test_what_is_not_published_is_left_empty():
    columns = published.beside(found(), FIGURES)
    assert columns["published_gflops"] is columns["gflops_off_percent"] is columns["discrepancy"] is None
    assert set(published.beside(None, FIGURES).values()) == {None}
