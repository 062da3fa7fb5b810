"""Keep a study's results in the repository, and write docs/studies/*.md from them.

    python -m benchmarks.study pack SWEEP [--runs-dir runs]   copy its results into docs/studies/counts/SWEEP
    python -m benchmarks.study unpack                         write the counts of each test there again
    python -m benchmarks.study report                         unpack, write docs/studies/SWEEP.md for each,
                                                              and its first table into pages with marks for it

What is kept is a folder of runs without checkpoints, pictures and logs, and with the counts of all tests in
one file (packed_counts.py). Unpacked, which git ignores, `segsweep report` reads it as any other:
`segsweep report sweep=SWEEP runs_dir=docs/studies/counts/SWEEP`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import packed_counts
from segsweep.runs import layout

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "docs" / "studies"
KEPT = (
    layout.PLAN, layout.STATUS, layout.CONFIG, layout.ENVIRONMENT, layout.STEPS, layout.VALIDATION,
    *(f"{layout.TESTS}/*/{name}" for name in (
        layout.METRICS, layout.PROTOCOL, layout.CONFUSION, layout.ASKED)),
)  # fmt: skip
PACKED = f"{layout.COUNTS}.xz"
MARK = re.compile(r"(<!-- make study-report: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def pack(sweep: str, runs_dir: Path) -> None:
    """Copy a sweep's record, and of each of its runs the files that a report reads; pack their counts."""
    target = STUDIES / "counts" / sweep
    shutil.rmtree(target, ignore_errors=True)
    names = [path.relative_to(runs_dir) for path in runs_dir.glob(f"{layout.SWEEPS}/{sweep}.json*")]
    record = json.loads((runs_dir / layout.SWEEPS / f"{sweep}.json").read_text())
    counts: dict[str, packed_counts.Arrays] = {}
    for run in dict.fromkeys(member["run"] for member in record["members"]):
        names += [path.relative_to(runs_dir) for kept in KEPT for path in (runs_dir / run).glob(kept)]
        for file in sorted((runs_dir / run).glob(f"{layout.TESTS}/*/{layout.COUNTS}")):
            with np.load(file, allow_pickle=False) as arrays:
                counts[file.parent.relative_to(runs_dir).as_posix()] = dict(arrays)
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(runs_dir / name, target / name)
    (target / PACKED).write_bytes(packed_counts.pack(counts))


def unpack(kept: Path) -> None:
    """Write the counts of each test of a study into its folder, where a report reads them."""
    for name, arrays in packed_counts.unpack((kept / PACKED).read_bytes()).items():
        np.savez_compressed(kept / name / layout.COUNTS, **arrays)


def report() -> None:
    """Write a page for each study from what is kept of it."""
    for kept in sorted((STUDIES / "counts").iterdir()):
        unpack(kept)
        name, place = kept.name, kept.relative_to(ROOT)  # relative, as pages name it
        with tempfile.TemporaryDirectory() as out:
            asked = [f"sweep={name}", f"runs_dir={place}", f"out={out}", f"title={name}"]
            subprocess.run([sys.executable, "-m", "segsweep", "report", *asked], check=True, cwd=ROOT)
            title, _, rest = (Path(out) / "report.md").read_text().partition("\n")
        made = (
            f"Question, assumptions and cost are in `experiments/studies/{name}.yaml`. The rest is the\n"
            f"report of `segsweep report sweep={name} runs_dir={place}`, written by\n"
            "`make study-report`; to run it by hand, first `python -m benchmarks.study unpack` the counts.\n"
        )
        (STUDIES / f"{name}.md").write_text(f"{title}\n\n{made}{rest}")
    for page in STUDIES.parent.glob("*.md"):
        page.write_text(with_tables(page.read_text()))


def with_tables(text: str) -> str:
    """Return a page with the first table of each study that it has marks for, and the words below it."""
    return MARK.sub(lambda found: f"{found[1]}{first_table(found[2])}\n{found[3]}", text)


def first_table(name: str) -> str:
    """Return what the first section of a study's page says, without its title."""
    section = (STUDIES / f"{name}.md").read_text().split("\n## ")[1]
    return section.partition("\n\n")[2].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("sweep")
    packing.add_argument("--runs-dir", type=Path, default=Path("runs"))
    verbs.add_parser("unpack")
    verbs.add_parser("report")
    args = parser.parse_args()
    if args.verb == "pack":
        pack(args.sweep, args.runs_dir)
    elif args.verb == "unpack":
        for kept in sorted((STUDIES / "counts").iterdir()):
            unpack(kept)
    else:
        report()


if __name__ == "__main__":
    main()
