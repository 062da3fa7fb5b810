"""Pictures of a report's page, as docs show it: desktop and phone.

    python -m benchmarks.screenshots REPORT_FOLDER docs

Writes report.png and report_phone.png (twice the pixels), from the page's top, at most 300 KB each.
"""

import argparse
import io
from pathlib import Path
from typing import Any

from PIL import Image
from tests.support.browser import DESKTOP, PHONE, chromium, opened

COLOURS = 256
MOST_BYTES = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--height", type=int, default=1200, help="of the desktop's picture")
    parser.add_argument("--phone-height", type=int, default=1400, help="of the phone's picture")
    asked = parser.parse_args()
    file = asked.report / "index.html"
    with chromium() as browser:
        with opened(browser, file, (DESKTOP[0], asked.height)) as page:
            take(page, asked.docs / "report.png")
        phone = {"device_scale_factor": 2, "is_mobile": True, "has_touch": True}
        with opened(browser, file, (PHONE[0], asked.phone_height), **phone) as page:
            take(page, asked.docs / "report_phone.png")


def take(page: Any, target: Path) -> None:
    """Write what is in view in few colours, which a page of text and lines hardly needs more of."""
    page.wait_for_timeout(1500)  # charts in view are drawn
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target}: {size:,} bytes")
    assert size <= MOST_BYTES, "a smaller height gives a smaller file"


if __name__ == "__main__":
    main()
