"""A report as one HTML file that opens from disk without a network: data, pictures, styles and charts inside.

The page is drawn in the browser from the report's own dict by page/*.js. The dict travels compressed, so that
a report of a thousand runs stays below a few megabytes. Charts are declarative (charts/*.json, Vega-Lite).
"""

import base64
import gzip
import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from segsweep.data.cache import default_folder
from segsweep.errors import UserError
from segsweep.files import write_bytes
from segsweep.reports.findings.fields import plain
from segsweep.runs.documents import write_text

DIGITS = 6
"""Significant digits of the page's numbers, which shows four at most."""
CHARTS = ("classes", "confusion", "curves", "effects", "forest", "sizes", "tradeoff")
SCRIPTS = ("elements", "data", "charts", "columns", "table", "figures", "section", "gallery", "run", "main")
"""The page's scripts, in the order in which they build on each other."""
ADDRESS = re.compile(r"https?://(?!www\.w3\.org/)")


def write_html(report: dict[str, Any], out: Path) -> None:
    """Write `out`/index.html. The gallery's pictures are read relative to `out`.

    Raises:
        UserError: the folder cannot be written.
        OSError: a picture of the gallery cannot be read.
    """
    environment = Environment(loader=PackageLoader("segsweep.reports.writers", "page"), autoescape=True)
    pictures = [[inlined(tile["src"], out) for tile in line["tiles"]] for line in report["gallery"]]
    content = {
        "report": report,
        "data": packed(compact(report)),
        "pictures": escaped(pictures),
        "charts": escaped({name: json.loads(_read(f"charts/{name}.json")) for name in CHARTS}),
        "library": charts_library(),
        "style": _read("page/page.css"),
        "scripts": [_read(f"page/{name}.js") for name in SCRIPTS],
    }
    write_text(out / "index.html", environment.get_template("index.html.j2").render(content))


def compact(report: dict[str, Any]) -> dict[str, Any]:
    """The report as its page needs it: rounded, confusion as shares of each true class, no pictures."""
    rows = [
        row | {"cells": {name: _with_shares(cell) for name, cell in row["cells"].items()}}
        for row in report["rows"]
    ]
    gallery = [
        line | {"tiles": [{"title": tile["title"]} for tile in line["tiles"]]} for line in report["gallery"]
    ]
    return dict(plain(report | {"rows": rows, "gallery": gallery}, DIGITS))


def _with_shares(cell: dict[str, Any]) -> dict[str, Any]:
    if cell["confusion"] is None:
        return cell
    counts = np.array(cell["confusion"])  # [K, K], rows are the truth
    shares = np.round(counts / np.maximum(counts.sum(1, keepdims=True), 1), 4)
    return cell | {"confusion": shares.tolist()}


def packed(content: Any) -> str:
    """JSON of plain values, compressed, in base64. Equal values give equal text."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(
        gzip.compress(text.encode(errors="backslashreplace"), compresslevel=6, mtime=0)
    ).decode()


def escaped(content: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def inlined(source: str, folder: Path) -> str:
    """A picture as a data URI; one that is given as such stays as it is."""
    if source.startswith("data:image/"):
        return source
    content = base64.b64encode((folder / source).read_bytes()).decode()
    return f"data:{guess_type(source)[0]};base64,{content}"


@cache
def charts_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script in a scope of its own, without any address.

    A JavaScript engine makes it in two seconds; the user's cache folder keeps it for later reports.
    """
    kept = default_folder() / f"vega-{version('vl-convert-python')}.js"
    try:
        bundle = kept.read_bytes().decode()
    except OSError:
        import vl_convert  # starts the engine

        bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        with suppress(UserError):  # a report needs no cache
            write_bytes(kept, bundle.encode())
    return f"(() => {{{ADDRESS.sub('', bundle)}\n}})();"


def _read(name: str) -> str:
    return (files("segsweep.reports.writers") / name).read_text(encoding="utf-8")
