"""The tables of docs/papers.md: what the papers' tables cost to train, and how large their networks are.

    python benchmarks/papers.py          # prints them
    python benchmarks/papers.py write    # renews them there

Costs are counted, not timed. A training step is taken as three forward passes (one forward, two backward),
and a GPU as doing 5·10^12 multiply-accumulates a second (10 TFLOPS sustained): dense networks in mixed
precision on a large GPU can be faster, and depthwise ones (MobileNet, Xception) are often far slower.
"""

import re
import sys
from functools import cache
from pathlib import Path

from segsweep.config import groups as config_files
from segsweep.planning.compose import compose
from segsweep.planning.plan import Member, merge
from segsweep.profiling.forecast import hours
from segsweep.profiling.network import Network, counted_rows, printed

TFLOPS = 10.0
DOC = Path(__file__).parents[1] / "docs" / "papers.md"
COUNTED: dict[str, float] = {}  # G of each network
MARK = re.compile(r"(<!-- python benchmarks/papers.py write: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def names() -> list[str]:
    return [name for name in config_files.choices("experiments") if "/table" in name]


def members(name: str) -> list[Member]:
    """The planned runs of a table, each once."""
    found = {member.id: member for member in compose("train", ["-m", f"+experiments={name}"])}
    return list(found.values())


def gpu_hours(member: Member) -> float:
    """Of one run, the stages before it aside."""
    images = member.config.batch_size * member.config.trainer.max_steps
    network = Network.of(member, None)
    if network.key not in COUNTED:
        COUNTED[network.key] = network.counted()["gmacs"]
    return hours(COUNTED[network.key] * 1e9, images, TFLOPS)


@cache
def rows() -> list[tuple[str, int, int, float]]:
    """Table, its runs, those of them that no table before it has, GPU hours of all with their stages."""
    seen: set[str] = set()
    found = []
    for name in names():
        planned = members(name)
        new = {member.id for member in planned} - seen
        seen |= new
        found.append((name, len(planned), len(new), sum(map(gpu_hours, merge(planned)))))
    return found


def costs() -> str:
    lines = [
        "| experiment | runs | in no table above | GPU hours, estimated |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| `{name}` | {planned} | {new} | {hours:.0f} |" for name, planned, new, hours in rows()]
    return "\n".join(lines) + "\n"


def sizes() -> str:
    lines = [
        "| network | input | params (M), printed | counted | MACs (G), printed | counted | remark |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in counted_rows():
        sizes = printed(row)
        figures = [sizes["params"], row["params_m"], sizes["gflops"], row["gmacs"]]
        cells = ["" if value is None else str(value) for value in figures]
        size = "×".join(map(str, row["size"] or ["any"]))
        lines.append(f"| {row['name']} | {size} | {' | '.join(cells)} | {row['discrepancy'] or ''} |")
    return "\n".join(lines) + "\n"


TABLES = {"costs": costs, "sizes": sizes}


def renewed(text: str) -> str:
    """The page with its generated tables as they are now."""
    return MARK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


if __name__ == "__main__":
    if "write" in sys.argv[1:]:
        DOC.write_text(renewed(DOC.read_text()))
    else:
        print("\n".join(table() for table in TABLES.values()), end="")
