"""The page in a browser, from disk, with the network off: by mouse, by keyboard and on a phone."""

from pathlib import Path

import pytest

from segsweep.reports.writers.html import write_html
from tests.support.browser import CHROMIUM, PHONE, chromium, opened
from tests.support.synthetic_report import synthetic

pytest.importorskip("playwright.sync_api", reason="playwright is in the extra browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
HOSTILE = "<img src=x onerror=console.log(1)>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_html(synthetic(), out)
    return out / "index.html"


@pytest.fixture
def page(browser, file):
    with opened(browser, file) as found:
        yield found


def written(tmp_path: Path, report: dict) -> Path:
    write_html(report, tmp_path)
    return tmp_path / "index.html"


def texts(page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def rows(page) -> list[str]:
    """Head and rates of the lines in view."""
    lines = page.locator("table.main tbody tr[data-row]").all()
    return [" ".join(line.locator("th, td").all_inner_texts()[1:3]) for line in lines]


def is_in_view(page, selector: str) -> bool:
    page.locator(selector).first.scroll_into_view_if_needed()
    page.locator(f"{selector} svg").first.wait_for()
    return page.locator(f"{selector} svg").first.is_visible()


def test_the_first_view_has_sentences_a_caption_and_unfinished_members(page):
    report = synthetic()
    assert texts(page, ".sentences li") == report["sentences"]
    assert page.locator("table.main caption").inner_text() == report["protocols"][0]["text"]
    assert page.locator("table.main thead th").first.get_attribute("scope") == "col"
    todo = page.locator("tr.todo")
    assert report["rows"][-1]["command"] in todo.inner_text()
    assert texts(page, "table.main .badge") == [row["state"] for row in report["rows"]]


def test_bold_is_for_the_best_and_seeds_are_always_there(page):
    report = synthetic()
    cells = [cell for row in report["rows"] for cell in row["cells"].values()]
    assert page.locator("table.main strong").count() == sum(cell["bold"] for cell in cells)
    assert "Bold: not told apart from the best." in page.locator("section > .notes").first.inner_text()
    assert page.locator("table.main .seeds a").count() == sum(len(cell["seeds"]) for cell in cells)


def test_nothing_is_bold_where_all_are_best(browser, tmp_path):
    report = synthetic()
    for row in report["rows"]:
        for cell in row["cells"].values():
            cell |= {"best": True, "bold": False}
    with opened(browser, written(tmp_path, report)) as page:
        assert page.locator("table.main strong").count() == 0
        assert "Bold" not in page.locator("section > .notes").first.inner_text()


def test_a_click_sorts_and_says_so(page):
    head = page.locator('th[data-key="single.miou"]')
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    values = {f"{' '.join(row['axes'].values())}": row["cells"].get("single") for row in synthetic()["rows"]}
    tested = {name: cell["miou"]["value"] for name, cell in values.items() if cell}
    expected = [*sorted(tested, key=tested.__getitem__, reverse=True), "ksac [6,12,18]"]
    assert rows(page) == expected, "what has no value comes last"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert rows(page) == [*expected[2::-1], expected[3]]


def test_the_filter_takes_options_and_states(page):
    page.fill(".filter", "head=aspp 24")
    assert rows(page) == ["aspp [1,6,12,18,24]"]
    assert page.locator(".count").inner_text() == "1 of 4"
    page.fill(".filter", "trainer.option_24=24 none")
    assert rows(page) == ["none –"], "options by name, values of axes without"
    page.fill(".filter", "state=interrupted")
    assert rows(page) == ["ksac [6,12,18]"]


def test_columns_are_chosen_and_reset(page):
    before = texts(page, "table.main thead button")
    page.click(".chooser summary")
    page.check('input[value="single.boundary_iou"]')
    page.uncheck('input[value="params"]')
    after = texts(page, "table.main thead button")
    assert "params (M)" not in after
    assert any(title.startswith("boundary IoU") for title in after)
    page.click(".panel > button")
    assert texts(page, "table.main thead button") == before


def test_seeds_can_have_rows_of_their_own(page):
    page.uncheck(".group")
    assert len(rows(page)) == 12
    assert page.locator('th[data-key="seed"]').is_visible()
    page.check(".group")
    assert len(rows(page)) == 4


def test_pointing_at_a_seed_shows_its_run_and_a_click_leads_there(page):
    link = page.locator(".seeds a").first
    link.hover()
    assert "run 0000000c0de5" in page.locator("#hint").inner_text()
    link.click()
    assert page.url.endswith("#run=0000000c0de5")
    run = page.locator("#run")
    run.locator("h1").wait_for()
    words = run.inner_text()
    for part in (
        "segsweep train head=none head.rates=– seed=0",
        "a2dea9e",
        "NVIDIA H200",
        "2 starts",
        "camvid/test",
    ):
        assert part in words
    assert not page.locator("#overview").is_visible()
    page.go_back()
    page.locator("#overview").wait_for()
    assert page.evaluate("document.activeElement.textContent") == link.inner_text()


@pytest.mark.parametrize(
    "chart", ["forest", "tradeoff", "classes", "confusion", "sizes", "curves", "effects"]
)
def test_every_chart_is_drawn_and_described(page, chart):
    assert is_in_view(page, f".chart.{chart}")
    described = page.locator(f".chart.{chart} svg [aria-label]")
    assert described.count() > 0


def test_accuracy_stands_against_latency_with_the_machine_beside_it(page):
    assert is_in_view(page, ".chart.tradeoff")
    figure = page.locator("figure", has=page.locator(".chart.tradeoff"))
    assert "480x360, batch 1, float32; CPU, threads: 2" in figure.locator("figcaption").inner_text()
    figure.locator("button[value='latency_ms']").click()
    page.wait_for_function("document.querySelector('.chart.tradeoff').textContent.includes('latency (ms)')")


def test_effects_of_several_protocols_have_a_chart_each(browser, tmp_path):
    report = synthetic(seeds=1, pictures=False)
    report["protocols"].append({**report["protocols"][0], "id": "p1", "text": "camvid val, 101 images"})
    report["effects"] += [{**effect, "protocol": "p1"} for effect in report["effects"]]
    with opened(browser, written(tmp_path, report)) as page:
        titles = texts(page, "figure:has(.chart.effects) h3")
    assert [title.partition(", ")[2][:19] for title in titles] == [
        "single, camvid test",
        "single, camvid val,",
    ]


def test_a_chart_points_at_runs_and_leads_to_them(page):
    assert is_in_view(page, ".chart.forest")
    point = page.locator(".chart.forest .mark-symbol path").first
    point.hover()
    page.locator("#vg-tooltip-element.visible").wait_for()
    assert "c0de5" in page.locator("#vg-tooltip-element").inner_text()
    point.click()
    page.locator("#run h1").wait_for()


def test_ticked_rows_enter_the_charts(page):
    assert is_in_view(page, ".chart.classes")
    before = page.locator(".chart.classes .mark-rect path").count()
    page.locator('tr[data-row="r0"] input').uncheck()
    assert len(texts(page, ".legend:not(.colours) span")) == 2
    assert texts(page, ".legend.colours span") == synthetic()["protocols"][0]["classes"]
    page.wait_for_function(f"document.querySelectorAll('.chart.classes .mark-rect path').length < {before}")


def test_the_gallery_unpacks_its_pictures_and_enlarges_them(page):
    assert page.locator(".tiles img").count() == 0
    page.locator(".tiles").first.scroll_into_view_if_needed()
    picture = page.locator(".tiles img").first
    picture.wait_for()
    page.wait_for_function("document.querySelector('.tiles img').naturalWidth === 240")
    page.locator(".tile").first.click()
    assert page.locator("dialog[open] img").is_visible()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_dark_follows_the_system_and_the_button(browser, file):
    background = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, file) as page:
        light = page.evaluate(background)
        page.click("#theme")
        dark = page.evaluate(background)
        assert light == "rgb(255, 255, 255)" != dark
    with opened(browser, file, color_scheme="dark") as page:
        assert page.evaluate(background) == dark
        page.click("#theme")
        assert page.evaluate(background) == light


def test_everything_works_by_keyboard(page):
    page.keyboard.press("/")
    page.keyboard.type("ksac")
    assert rows(page) == ["ksac [6,12,18]"]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not page.locator(".group").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".chooser .panel").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".chooser .panel").is_visible()
    page.locator("tbody a.run").first.focus()
    page.keyboard.press("Enter")
    page.locator("#run h1").wait_for()
    page.keyboard.press("Escape")
    page.locator("#overview").wait_for()


def test_a_command_is_copied(page):
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("tr.todo .copy")
    assert page.evaluate("window.copied") == synthetic()["rows"][-1]["command"]


def test_a_phone_never_scrolls_sideways(browser, file):
    wide = "document.documentElement.scrollWidth"
    with opened(browser, file, PHONE, has_touch=True, is_mobile=True) as page:
        for top in range(0, page.evaluate("document.body.scrollHeight"), 700):
            page.evaluate(f"scrollTo(0, {top})")
            page.wait_for_timeout(50)
        page.locator(".chooser summary").click()
        assert page.locator(".chooser .panel").is_visible()
        assert page.evaluate(wide) == PHONE[0]
        page.evaluate("location.hash = 'run=0000000c0de5'")
        page.locator("#run h1").wait_for()
        assert page.evaluate(wide) == PHONE[0]


def test_what_a_report_lacks_leaves_no_shell(browser, tmp_path):
    report = synthetic(seeds=1, pictures=False) | {"effects": [], "paper": None, "sentences": [], "notes": []}
    for row in report["rows"]:
        row["params"] = row["macs"] = row["latency_ms"] = None
        for cell in row["cells"].values():
            cell |= {"sizes": None, "confusion": None, "difference": None, "groups": None}
    for run in report["runs"].values():
        run["curves"] = {}
    with opened(browser, written(tmp_path, report)) as page:
        assert texts(page, "h2") == ["Results"]
        assert texts(page, "figure h3") == ["mIoU, single", "IoU per class"]


def test_runs_without_counts_have_no_intervals_and_do_no_harm(browser, tmp_path):
    report = synthetic(pictures=False)
    for row in report["rows"]:
        for cell in row["cells"].values():
            for figure in ("miou", "pixel_accuracy", "fwiou", "boundary_iou"):
                cell[figure] |= {"low": None, "high": None}
            cell |= {"per_class": [], "confusion": None, "difference": None, "groups": None, "complete": None}
    with opened(browser, written(tmp_path, report)) as page:
        assert set(texts(page, "table.main .between")) == {""}
        assert is_in_view(page, ".chart.forest")
        assert page.locator(".chart.forest .mark-symbol path").count() == 9
        assert page.locator(".chart.forest .layer_0_marks line").count() == 0


def test_the_papers_table_stands_with_what_is_to_be_said_of_it(page):
    paper = synthetic()["paper"]
    assert texts(page, ".paper th[scope=col]") == paper["columns"]
    assert texts(page, ".paper td") == [row[name] for row in paper["rows"] for name in paper["columns"][1:]]
    assert texts(page, ".paper .notes") == [paper["heading"], *paper["notes"]]


def test_unlike_protocols_stand_apart_and_are_marked(browser, tmp_path):
    report = synthetic(pictures=False)
    report["protocols"].append(report["protocols"][0] | {"id": "p1", "text": "camvid val, 101 images"})
    report["rows"][1]["protocol"] = "p1"
    with opened(browser, written(tmp_path, report)) as page:
        assert page.locator("section > .warning").count() == 2
        captions = texts(page, "table.main caption")
        assert captions == [*(protocol["text"] for protocol in report["protocols"]), "Not tested yet"]


def test_unlike_protocols_side_by_side_are_marked(browser, tmp_path):
    report = synthetic(pictures=False) | {"mixed": True}
    report["protocols"].append(report["protocols"][0] | {"id": "p1", "text": "camvid val, 101 images"})
    report["rows"][1] |= {"protocol": "p1", "unlike": ["split val, not test"]}
    with opened(browser, written(tmp_path, report)) as page:
        assert len(rows(page)) == 4
        assert texts(page, ".unlike") == ["≠ split val, not test"]
        assert page.locator("section > .warning").count() == 1


def test_a_long_table_grows_as_it_is_scrolled(browser, tmp_path):
    file = written(tmp_path, synthetic(seeds=1, learning_rates=40, pictures=False))
    with opened(browser, file) as page:
        assert page.locator(".count").inner_text() == "160 configurations"
        assert len(rows(page)) < 160
        page.wait_for_function("""() => {
            const box = document.querySelector(".scroll.tall");
            box.scrollTop = box.scrollHeight;
            return box.querySelectorAll("tr[data-row]").length === 160;
        }""")
        page.fill(".filter", "lr=0.1 ksac")
        assert rows(page) == ["ksac [6,12,18]"]


def test_words_of_a_user_stay_words(browser, tmp_path):
    report = synthetic(seeds=1, pictures=False)
    report["title"] = report["sentences"][0] = HOSTILE
    row = report["rows"][1]
    row["label"] = row["axes"]["head"] = row["settings"]["head"] = HOSTILE
    run = report["runs"][row["runs"][0]]
    run["command"] = run["error"] = run["settings"]["head"] = HOSTILE
    with opened(browser, written(tmp_path, report)) as page:
        assert is_in_view(page, ".chart.classes")
        page.locator(".chart.classes .mark-rect path").nth(1).hover()
        page.evaluate(f"location.hash = 'run={row['runs'][0]}'")
        page.locator("#run h1").wait_for()
        assert HOSTILE in page.locator("#run").inner_text()
        assert page.locator("img").count() == 0
