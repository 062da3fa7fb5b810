"""The page as a file: one, whole, without an address, with every word of a user as text."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert

from segsweep.reports.writers import html
from segsweep.reports.writers.html import compact, write_html
from tests.support.synthetic_report import synthetic

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


class Elements(HTMLParser):
    """The elements of a page, and the content of its scripts by their ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data):
        if self._script:
            self.content[self._script] = self.content.get(self._script, "") + data


def carried(page: str) -> dict:
    return json.loads(gzip.decompress(base64.b64decode(Elements(page).content["data"])))


def page_of(report: dict, out: Path) -> str:
    write_html(report, out)
    return (out / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return page_of(synthetic(), tmp_path_factory.mktemp("report"))


def test_the_page_holds_the_reports_numbers(page):
    report, found = synthetic(), carried(page)
    assert found["sentences"] == report["sentences"]
    assert found["runs"].keys() == report["runs"].keys()
    wanted = report["rows"][1]["cells"]["ms_flip"]
    cell = found["rows"][1]["cells"]["ms_flip"]
    assert cell["miou"] == pytest.approx(wanted["miou"], rel=1e-5)
    assert [seed["value"] for seed in cell["seeds"]] == pytest.approx(
        [s["value"] for s in wanted["seeds"]], rel=1e-5
    )
    assert [sum(row) for row in cell["confusion"]] == pytest.approx([1.0] * 11, abs=1e-3)


def test_integers_stay_whole_and_rows_without_truth_stay_zero():
    report = synthetic(seeds=1, pictures=False)
    report["rows"][0]["params"] = 2_263_108_123
    report["rows"][0]["cells"]["single"]["confusion"] = [[0, 0], [1, 3]]
    row = compact(report)["rows"][0]
    assert row["params"] == 2_263_108_123
    assert row["cells"]["single"]["confusion"] == [[0.0, 0.0], [0.25, 0.75]]


def test_the_page_loads_nothing(page):
    assert set(re.findall(r"https?://[\w.]+", page)) <= {"http://www.w3.org"}
    sources = [attrs.get("src") or attrs.get("href") or "" for _, attrs in Elements(page).tags]
    assert all(source.startswith(("data:", "#")) or not source for source in sources)
    assert "@import" not in page


def test_words_of_a_user_are_never_markup(tmp_path):
    report = synthetic(seeds=1)
    report["title"] = report["sentences"][0] = report["command"] = report["notes"][0] = HOSTILE
    report["gallery"][0]["tiles"][0]["title"] = HOSTILE
    harmless = Elements(page_of(synthetic(seeds=1), tmp_path))
    page = page_of(report, tmp_path)
    assert [tag for tag, _ in Elements(page).tags] == [tag for tag, _ in harmless.tags]
    assert carried(page)["gallery"][0]["tiles"][0]["title"] == HOSTILE


def test_pictures_travel_inside(tmp_path):
    report = synthetic(seeds=1)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"not really a picture")
    report["gallery"] = [{"image": "a", "why": "", "tiles": [{"title": "image", "src": "pictures/a.png"}]}]
    pictures = json.loads(Elements(page_of(report, tmp_path)).content["pictures"])
    kind, _, content = pictures[0][0].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == b"not really a picture"


def test_equal_reports_give_equal_pages(page, tmp_path):
    assert page_of(synthetic(), tmp_path) == page


def test_a_thousand_runs_stay_below_six_megabytes(page, tmp_path):
    """Each a configuration of its own with 21 classes; measured on a fifth of them."""
    classes = [f"class {n}" for n in range(21)]
    report = synthetic(seeds=1, learning_rates=50, classes=classes, pictures=False)
    assert len(report["runs"]) == 200
    fixed = len(page.encode())
    assert fixed + 5 * (len(page_of(report, tmp_path).encode()) - fixed) < 6_000_000


def test_the_charts_library_is_made_once_for_a_user(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: made.append(snippet) or "vega\r\n")

    def library(cache):
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        html.charts_library.cache_clear()
        return html.charts_library()

    (tmp_path / "file").touch()
    # In a folder that cannot be written it is made each time.
    places = "user", "user", "file", "file"
    assert len({library(tmp_path / place) for place in places}) == 1
    html.charts_library.cache_clear()
    assert len(made) == 3
