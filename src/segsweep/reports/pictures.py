"""Pictures for a report: image, truth and each configuration's prediction, side by side."""

import base64
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from segsweep.files import cannot_write
from segsweep.reports.table import Table
from segsweep.runs import compare, layout
from segsweep.runs.folder import RunFolder

log = logging.getLogger("segsweep")

MOST_COLUMNS = 6


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its file beside the Markdown, and its content for the HTML."""

    name: str
    file: str
    inline: str


def picture_rows(table: Table, strategy: str, out: Path) -> tuple[list[str], list[list[Picture]]]:
    """Labels of the predictions, and for each image that all rows kept, its line of pictures.

    A row shows its first run. A page holds no more than a few predictions side by side: the first rows'.
    """
    shown = [row for row in table.rows if strategy in row.cells][:MOST_COLUMNS]
    runs = [row.runs[0] for row in shown]
    labels = [" ".join(value for value in row.axes.values() if value != compare.MISSING) for row in shown]
    kept = [{path.name for path in (run.path / layout.PICTURES).glob("*")} for run in runs]
    common = sorted(set.intersection(*kept)) if kept else []
    tests = [row.tests[strategy] for row in shown]
    return labels, [_line(name, runs, tests, out) for name in common]


def _line(name: str, runs: list[RunFolder], tests: list[str], out: Path) -> list[Picture]:
    folders = [run.path / layout.PICTURES / name for run in runs]
    first = [folders[0] / "image.jpg", folders[0] / "truth.png"]
    predictions = [folder / f"{test}.png" for folder, test in zip(folders, tests, strict=True)]
    return [_picture(path, f"{name} {path.stem}", out) for path in [*first, *predictions] if path.is_file()]


def _picture(source: Path, name: str, out: Path) -> Picture:
    kind = "jpeg" if source.suffix == ".jpg" else "png"
    run = source.parents[2].name
    target = out / "pictures" / f"{run}-{source.parent.name}-{source.name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    content = base64.b64encode(source.read_bytes()).decode()
    return Picture(name, f"pictures/{target.name}", f"data:image/{kind};base64,{content}")


def classes(table: Table) -> list[tuple[str, tuple[int, ...]]]:
    """Class names with their colours, from the first run's files."""
    run = table.rows[0].runs[0]
    metrics, _ = next(iter(run.read_tests().values()))
    picture = next((run.path / layout.PICTURES).glob("*/truth.png"), None)
    if picture is None:
        return []
    try:
        with Image.open(picture) as image:
            palette = image.getpalette() or []
    except (OSError, ValueError, SyntaxError) as error:  # of PNG chunks
        log.warning(f"left out: {picture} is damaged ({error})")
        return []
    names = list(metrics.per_class)
    return [(name, tuple(palette[3 * i : 3 * i + 3])) for i, name in enumerate(names)]
