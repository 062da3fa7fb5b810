"""What a benchmark prints and writes: tables, the command, and the machine that made them."""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.timing import Spread
from segsweep.cores import usable_cores

ROOT = Path(__file__).parents[1]

Row = dict[str, Any]


def parser(doc: str, name: str, seconds: float | None = None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have, and of those that time calls on a device."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, help="also write the figures to this file")
    made.set_defaults(name=name, device="cpu")
    if seconds is not None:
        made.add_argument("--device", default="cpu", help="cpu or cuda")
        made.add_argument("--seconds", type=float, default=seconds, help="for each thing that is timed")
    return made


def report(options: argparse.Namespace, tables: Mapping[str, Sequence[Row]]) -> None:
    """Print tables by title and write them to `--json`. Equal columns; a cell is a value or a `Spread`."""
    for title, rows in tables.items():
        print(f"\n{title}\n")
        print("\n".join(markdown(rows)))
    keep(options, tables)


def keep(options: argparse.Namespace, tables: Mapping[str, Sequence[Row]]) -> None:
    """Write to `--json` what is measured so far, for the case that the program is stopped."""
    if options.json is None:
        return
    found = {
        "command": _command(options.name),
        "date": date.today().isoformat(),
        "commit": _commit(),
        "machine": machine(options.device),
        "tables": {
            title: [{column: _plain(cell) for column, cell in row.items()} for row in rows]
            for title, rows in tables.items()
        },
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    draft = options.json.with_suffix(".tmp")
    draft.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    draft.replace(options.json)


def _command(name: str) -> str:
    """Return what was typed; where the result went is no part of it."""
    kept = ["DIR" if Path(word).is_absolute() else word for word in sys.argv[1:]]
    if "--json" in kept:
        place = kept.index("--json")
        del kept[place : place + 2]
    threads = os.environ.get("OMP_NUM_THREADS")
    said = f"OMP_NUM_THREADS={threads} " if threads else ""
    return said + shlex.join(["python", "-m", f"benchmarks.{name}", *kept])


def _commit() -> str | None:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def _plain(cell: Any) -> Any:
    if isinstance(cell, Spread):
        return cell.json()
    return float(f"{cell:.5g}") if isinstance(cell, float) else cell


def markdown(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table; columns of numbers are aligned to the right."""
    if not rows:
        return ["(nothing measured)"]
    columns = list(rows[0])
    numeric = [all(not isinstance(row[column], str) for row in rows) for column in columns]
    return [
        f"| {' | '.join(columns)} |",
        f"| {' | '.join('---:' if right else '---' for right in numeric)} |",
        *(f"| {' | '.join(shown(row[column]) for column in columns)} |" for row in rows),
    ]


def shown(cell: Any) -> str:
    """Return a cell's text: three digits, and a ratio's quartiles in brackets."""
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        cell = vars(cell)
    if isinstance(cell, dict):
        return f"{cell['median']:.2f} ({cell['low']:.2f}–{cell['high']:.2f})"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def machine(device: str = "cpu") -> Row:
    """Describe what a timing depends on."""

    import torch  # only here: some benchmarks count what a process imports

    described: Row = {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.startswith("cuda"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[0]
        described["gpu"] = torch.cuda.get_device_name(device)
        described["gpu_gib"] = round(torch.cuda.get_device_properties(device).total_memory / 2**30)
        described["driver"], described["cudnn"] = driver.strip(), torch.backends.cudnn.version()
    return described


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
