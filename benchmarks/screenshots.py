"""Pictures of a report's page, as docs show it: desktop and phone.

    python -m benchmarks.screenshots REPORT_FOLDER docs

Writes report.png (1280 × 900) and report_phone.png (390 × 844, twice the pixels), at most 300 KB each.
"""

import argparse
import io
from pathlib import Path
from typing import Any

from PIL import Image
from tests.support.browser import DESKTOP, PHONE, chromium, opened

COLOURS = 128
MOST_BYTES = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--height", type=int, default=DESKTOP[1] + 250, help="of the desktop's picture")
    asked = parser.parse_args()
    file = asked.report / "index.html"
    with chromium() as browser:
        with opened(browser, file, (DESKTOP[0], asked.height)) as page:
            take(page, asked.docs / "report.png")
        with opened(browser, file, PHONE, device_scale_factor=2, is_mobile=True, has_touch=True) as page:
            take(page, asked.docs / "report_phone.png")


def take(page: Any, target: Path) -> None:
    """Write what is in view in few colours, which a page of text and lines hardly needs more of."""
    page.wait_for_timeout(1500)  # charts in view are drawn
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target}: {size:,} bytes")
    assert size <= MOST_BYTES, "a smaller --height gives a smaller file"


if __name__ == "__main__":
    main()
