"""`segsweep compare`: is the second configuration better than the first, and is it more than noise?"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.runs.choice import chosen, runs_of
from segsweep.errors import ConfigError, OptionError
from segsweep.reports.findings.members import the_configuration
from segsweep.reports.findings.versus import Side, Versus, versus
from segsweep.terminal import plural

HELP = """usage: segsweep compare QUERY QUERY [key=value ...]

Compare two configurations over all their seeds: the second minus the first, paired over images and seeds.
A QUERY is the id of a run, or settings that choose one configuration; put it in quotes.

options
  test=single        the test, as its folder in the runs is named: half is ms0.5, center_crop is
                     center1024x1024
  figure=miou        miou, pixel_accuracy, fwiou or boundary_iou
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  sweep=NAME         only the runs of one sweep
  format=table       table for people, or json: one object, differences in points

example
  segsweep compare 'head=none' 'head=aspp head.rates=[6,12,18]' test=single
"""
DEFAULTS = {
    "test": "single", "figure": "miou", "runs_dir": RUNS_DIR, "sweep": None, "format": "table"
}  # fmt: skip
FORMATS = ("table", "json")


def main(arguments: Sequence[str]) -> int:
    """Compare and print; return the exit status."""
    own, queries = split(arguments, DEFAULTS)
    options = parse(own, DEFAULTS)
    if options["format"] not in FORMATS:
        raise OptionError("format", options["format"], near=FORMATS)
    if len(queries) != 2:
        found = ", ".join(queries) or "none"
        raise ConfigError(
            f"compare: expected two queries, found {found}; put each in quotes, as in 'head=none' 'head=aspp'"
        )
    runs = runs_of(Path(options["runs_dir"]), options["sweep"])
    sides = [the_configuration(chosen(runs, query, DEFAULTS), query) for query in queries]
    result = versus(queries, sides, options["test"], options["figure"])
    if options["format"] == "json":
        print(json.dumps(result.flat(), indent=1, ensure_ascii=False))
    else:
        print(*lines(result), sep="\n")
    return 0


def lines(result: Versus) -> Iterator[str]:
    """Yield the comparison in about ten lines."""
    difference = result.difference
    yield f"{result.figure} in %, test {result.test} on {result.protocol}"
    width = max(len(side.query) for side in (result.first, result.second))
    yield from (_side(side, width) for side in (result.first, result.second))
    fewer = 0 < difference.seeds < max(len(side.results) for side in (result.first, result.second))
    both = f", over the {plural(difference.seeds, 'seed')} that both have" if fewer else ""
    yield f"  second − first: {100 * difference.value:+.2f} points{both}"
    over = plural(result.images, "image")
    yield f"  95 % over {over}: {100 * difference.low:+.2f} to {100 * difference.high:+.2f}"
    if (grouped := result.grouped) is not None:
        yield f"  95 % over {result.unit}: {100 * grouped.low:+.2f} to {100 * grouped.high:+.2f}"
    yield f"  p over images: {difference.p_images:.2g} (paired permutation; of this comparison alone)"
    by_seed = ", ".join(f"{100 * value:+.2f}" for value in difference.by_seed)
    yield f"  by seed: {by_seed or 'no seed in common, so means over all seeds are compared'}"
    yield f"  over seeds: {difference.verdict_seeds}"
    if difference.value == difference.smallest == 0:
        yield "  no image shows a difference"
    else:
        yield f"  this test set could tell apart {100 * difference.smallest:.2f} points"
    for side in (result.first, result.second):
        if side.unfinished:
            yield f"  not in it, of {side.query}: {'; '.join(side.unfinished)}"


def _side(side: Side, width: int) -> str:
    found = side.estimate
    spread = "" if found.std is None else f" ± {100 * found.std:.2f}"
    seeds = plural(len(side.results), "seed")
    return (
        f"  {side.query:<{width}}  {100 * found.value:.2f}{spread} "
        f"({100 * found.low:.2f} to {100 * found.high:.2f} over images; {seeds})"
    )
