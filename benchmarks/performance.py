"""The tables of docs/performance.md, from the results that are kept in benchmarks/results.

    python -m benchmarks.performance          # renews the page
    python -m benchmarks.performance FOLDER   # prints the tables of other results

A block of the page names its results (`op`: op.json and op-*.json); their tables of one title become one.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, markdown

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def results(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the results of a benchmark, which may have been measured in several calls."""
    files = [folder / f"{name}.json", *sorted(folder.glob(f"{name}-*.json"))]
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def tables(folder: Path, name: str) -> Iterator[str]:
    """Yield the lines of a benchmark's tables: where and how they were measured, then each by its title."""
    found = results(folder, name)
    if not found:
        yield f"*Not measured yet: `python -m benchmarks.{name}`.*"
        return
    yield f"{'; '.join(dict.fromkeys(where(one) for one in found))}. Made by:"
    yield from ["", "```sh", *(one["command"] for one in found), "```"]
    for title in dict.fromkeys(title for one in found for title in one["tables"]):
        rows = [row for one in found for row in one["tables"].get(title, ())]
        yield from ["", f"**{title}**", "", *markdown(rows)]


def where(result: dict[str, Any]) -> str:
    """Return the machine, day and commit of a result in words."""
    machine = result["machine"]
    words = [f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"]
    if "gpu" in machine:
        words.insert(0, f"{machine['gpu']} ({machine['gpu_gib']} GiB, driver {machine['driver']})")
    words += [f"torch {machine['torch']}", f"{result['date']} at {result['commit']}"]
    return ", ".join(words)


def renewed(text: str) -> str:
    """Return the page with its blocks as the results are now."""
    return BLOCK.sub(lambda found: found[1] + "\n".join(tables(RESULTS, found[2])) + "\n" + found[3], text)


def main() -> None:
    if len(sys.argv) == 1:
        PAGE.write_text(renewed(PAGE.read_text()))
        return
    folder = Path(sys.argv[1])
    for name in sorted({file.stem for file in folder.glob("*.json")}):
        print(f"\n## {name}\n", *tables(folder, name), sep="\n")


if __name__ == "__main__":
    main()
