"""`segsweep runs gc`: remove what nothing refers to any longer.

There are three kinds: unfinished runs that no sweep lists and no kept run starts from; runs that force=true
moved to replaced/; drafts left by killed processes. Whatever a process holds, or has touched in the last
minute, is kept, and so is every finished run: it may have been trained outside any sweep.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsweep import files
from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.output import print_rows
from segsweep.commands.runs.rm import TRASH, agrees, discard, disk_use, mentioned
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.runs import layout
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.identity import ID_LENGTH
from segsweep.runs.layout import drafts, is_stale
from segsweep.runs.lineage import source, with_ancestors
from segsweep.terminal import mebibytes, plural

HELP = """usage: segsweep runs gc [key=value ...]

List what nothing refers to any longer, and remove it after asking: unfinished runs that no sweep lists, runs
that force=true replaced, and drafts left by killed processes.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  what=all           all, runs, replaced or drafts
  yes=false          do not ask; without a terminal to ask on, gc only lists
"""
RUNS, REPLACED, DRAFTS = KINDS = ("runs", "replaced", "drafts")
WHY = {
    RUNS: "not done, and no sweep mentions it",
    REPLACED: "force=true trained it again",
    DRAFTS: "a killed process left it",
}


@dataclass(frozen=True)
class Item:
    """Something that may be removed."""

    path: Path
    kind: str

    def remove(self, runs_dir: Path) -> bool:
        """Remove it unless a sweep or a process uses it meanwhile; return whether it is gone."""
        if self.kind != RUNS:
            files.remove(self.path)
            return True
        if any(self.path.name in ids for ids in mentioned(runs_dir).values()):
            return False
        try:
            discard(RunFolder(self.path))
        except UserError:
            return False
        return True


def main(arguments: Sequence[str]) -> int:
    """List removable items and remove them after asking; without a terminal, only list them."""
    words, asked = parse_words(arguments, {"runs_dir": RUNS_DIR, "what": "all", "yes": False})
    if words:
        raise ConfigError(f"runs gc {words[0]}: gc takes no ids; segsweep runs rm removes runs by id")
    if asked["what"] not in ("all", *KINDS):
        raise OptionError("what", asked["what"], near=("all", *KINDS))
    runs_dir, what, yes = Path(asked["runs_dir"]), asked["what"], asked["yes"]
    items = [item for item in found(runs_dir) if what in ("all", item.kind)]
    sizes = [disk_use(item.path) for item in items]
    if not items:
        print(f"{runs_dir}: nothing to remove")
        return 0
    rows = [
        {"what": str(item.path.relative_to(runs_dir)), "size": mebibytes(size), "why": WHY[item.kind]}
        for item, size in zip(items, sizes, strict=True)
    ]
    total = f"{plural(len(items), 'item')}, {mebibytes(sum(sizes))}"
    print_rows(rows, "table", title=f"{runs_dir}: {total}")
    if not yes and not sys.stdin.isatty():
        print("nothing removed: yes=true removes them")
        return 0
    if not yes and not agrees(f"remove {total}?"):
        print("nothing removed")
        return 1
    there = set(found(runs_dir))  # looked up again, as the answer may have taken hours
    removed = [item in there and item.remove(runs_dir) for item in items]
    for item, gone in zip(items, removed, strict=True):
        if not gone:
            print(f"{item.path.relative_to(runs_dir)} stays: it was taken up or went meanwhile")
    size = sum(size for size, gone in zip(sizes, removed, strict=True) if gone)
    print(f"removed {plural(sum(removed), 'item')}, {mebibytes(size)}")
    return 0


def found(runs_dir: Path) -> list[Item]:
    """Return all removable items; a run comes before the one that it starts from."""
    runs = all_runs(runs_dir)
    items = [Item(run.path, RUNS) for run in _unmentioned(runs_dir, runs)]
    items += [Item(path, REPLACED) for path in sorted((runs_dir / layout.REPLACED).glob("*"))]
    going = {item.path for item in items}
    # Drafts inside a folder that is removed are not listed separately.
    left = [path for path in _drafts(runs_dir, runs) if not going & {path, *path.parents}]
    return items + [Item(path, DRAFTS) for path in left]


def _unmentioned(runs_dir: Path, runs: Sequence[RunFolder]) -> list[RunFolder]:
    needed = [run.id for run in runs if run.holder() is not None or run.status().state is State.DONE]
    kept = with_ancestors([*needed, *(id for ids in mentioned(runs_dir).values() for id in ids)], runs)
    going = [run for run in runs if run.id not in kept]
    depth = {run.id: len(with_ancestors([run.id], runs)) for run in going if source(run)}
    return sorted(going, key=lambda run: -depth.get(run.id, 1))


def _drafts(runs_dir: Path, runs: Sequence[RunFolder]) -> Iterator[Path]:
    yield from sorted(runs_dir.glob(f"{TRASH}*"))  # removals that were killed, of any age
    halves = [path for path in runs_dir.glob("[!.]*") if _is_half_run(path)]
    candidates = [*halves, *(runs_dir / layout.SWEEPS).rglob("*.tmp")]
    for run in runs:
        if run.holder() is None:
            candidates += drafts(run.path)
    yield from sorted(path for path in set(candidates) if is_stale(path))


def _is_half_run(path: Path) -> bool:
    """Whether a folder is left by a planning or adoption that was killed before it became a run."""
    is_folder = path.is_dir() and re.fullmatch(f"[0-9a-f]{{{ID_LENGTH}}}", path.name)
    return bool(is_folder) and not layout.is_run(path) and RunFolder(path).holder() is None
