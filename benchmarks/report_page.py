"""What a report's page of a thousand runs weighs, and how long it takes to open.

    python -m benchmarks.report_page [--repeats 5]

Two reports of 1,000 runs, 21 classes, two strategies, 54 options a run, learning curves of 60 points:
333 configurations of three seeds, and 1,000 configurations of one. Seconds are median and worst, from asking
headless Chromium for the file on disk until the table stands and the first charts are drawn: at most 3, and
at most 6 MB. Then how long a click takes to sort, and a word to filter.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.browser import chromium, opened
from tests.support.synthetic_report import synthetic

from benchmarks.report import Row, parser, report
from segsweep.reports.writers.html import write_html

CLASSES = [f"class {n}" for n in range(21)]
SWEEPS = {
    "333 × 3 seeds": {"seeds": 3, "learning_rates": 84},
    "1,000 × 1 seed": {"seeds": 1, "learning_rates": 250},
}
DRAWN = "document.querySelector('.chart.forest svg')"


def main() -> None:
    options = parser(__doc__, "report_page")
    options.add_argument("--repeats", type=int, default=5)
    asked = options.parse_args()
    rows = []
    for name, sweep in SWEEPS.items():
        page = synthetic(**sweep, classes=CLASSES, pictures=False)  # type: ignore[arg-type]
        rows.append({"report": f"{name} ({len(page['runs']):,} runs)", **measured(page, asked.repeats)})
    report(asked, {"a page of 1,000 runs (wanted: open in ≤ 3 s, ≤ 6 MB)": rows})


def measured(page: dict[str, Any], repeats: int) -> Row:
    """Seconds and megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_html(page, Path(folder))
        seconds = time.perf_counter() - started
        file = Path(folder) / "index.html"
        size = file.stat().st_size / 1e6
        with chromium() as browser:
            times = [visit(browser, file) for _ in range(repeats)]
    opening, sorting, filtering = zip(*times, strict=True)
    return {
        "write (s)": seconds,
        "size (MB)": size,
        "open (s)": median(opening),
        "worst (s)": max(opening),
        "sort (s)": median(sorting),
        "filter (s)": median(filtering),
    }


def visit(browser: Any, file: Path) -> tuple[float, float, float]:
    """Seconds until the page is drawn, until it is sorted, and until it is filtered."""
    with opened(browser, file) as page:
        page.locator(".chart.forest").scroll_into_view_if_needed()
        opening = page.wait_for_function(f"{DRAWN} && performance.now()").json_value() / 1000
        started = time.perf_counter()
        page.click('th[data-key="single.miou"] button')
        page.wait_for_selector('th[aria-sort="descending"]')
        sorting = time.perf_counter() - started
        started = time.perf_counter()
        page.fill(".filter", "ksac")
        page.wait_for_function("document.querySelectorAll('table.main th[scope=row]').length < 400")
        return opening, sorting, time.perf_counter() - started


if __name__ == "__main__":
    main()
