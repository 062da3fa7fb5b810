"""`segsweep reproduce`: train a run again beside the old one, and say whether the two are equal."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.cores import THREADS
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder, find_run
from segsweep.runs.targets import TRUST
from segsweep.terminal import plural

if TYPE_CHECKING:
    from segsweep.planning.again import Again
    from segsweep.reports.reproduction.verdict import Reproduction, TestAgain

HELP = """usage: segsweep reproduce RUN [key=value ...]

Train a finished run again beside the old one, test it as the old one was tested, and say whether the two are
equal (every bit of weights, counts and curve), equal within noise (the difference of each test is no larger
than that over images, or that between the configuration's seeds), or not equal; and what differs in code,
packages and hardware. The exit status is 0 for equal and equal within noise, 1 for not equal.
RUN is an id or a run's folder. The same command, given again, continues where it stopped.

options
  out=DIR            the folder of the new runs; the old ones are never written to
                     (runs_dir/reproduced; with chain=false runs_dir/reproduced/from_old_weights)
  chain=true         train the runs that it starts from again, too, such as earlier stages;
                     false: start from their old weights
  runs_dir=runs      where the old runs are (environment: SEGSWEEP_RUNS)
  format=table       table for people, or json: a list with an object for each run of the chain
  trust=true         build any class that the run's folder names, not only segsweep's and yours
  data_dir=DIR       and any other option that is no part of what a run is: dataset.root, num_workers,
                     trainer.devices, trainer.accelerator …

A run on the CPU uses as many threads as the old one did, unless OMP_NUM_THREADS says otherwise.

example
  segsweep reproduce 3f9c2a data_dir=DIR
"""
DEFAULTS = {"out": None, "chain": True, "runs_dir": RUNS_DIR, "format": "table"}
FORMATS = ("table", "json")
log = logging.getLogger("segsweep")


def main(arguments: Sequence[str]) -> int:
    """Train again, compare and print; return the exit status."""
    own, others = split(arguments, DEFAULTS)
    options = parse(own, DEFAULTS)
    if options["format"] not in FORMATS:
        raise OptionError("format", options["format"], near=FORMATS)
    words = [word for word in others if "=" not in word]
    if len(words) != 1:
        raise ConfigError(f"reproduce: expected one run, found {', '.join(words) or 'none'}")
    run = _run(words[0], Path(options["runs_dir"]))
    place = layout.REPRODUCED if options["chain"] else f"{layout.REPRODUCED}/from_old_weights"
    out = Path(options["out"] or run.path.parent / place)
    members = train_again(run, out, [word for word in others if "=" in word], options["chain"])

    from segsweep.reports.reproduction.verdict import Verdict, reproduction

    found = [reproduction(member.old, member.folder) for member in members]
    if options["format"] == "json":
        print(json.dumps([one.flat() for one in found], indent=1, ensure_ascii=False))
    else:
        print(*(line for one in found for line in lines(one)), sep="\n")
    return 1 if found[-1].verdict is Verdict.NOT_EQUAL else 0


def train_again(run: RunFolder, out: Path, given: Sequence[str], chain: bool) -> "Sequence[Again]":
    """Train and test a run again in the folder `out`, and return it after the runs that it starts from.

    Raises:
        UserError: it cannot be trained again as it was, or its training failed.
    """
    from segsweep.planning.again import again
    from segsweep.planning.dry_build import check  # torch takes seconds to import
    from segsweep.sweeps.in_order import execute_members

    overrides = [argument for argument in given if argument != TRUST]
    rounds = again(run, out, overrides, chain, TRUST in given)
    for member in rounds[0]:
        check(member.config.changed(runs_dir=str(member.old.path.parent)))
    if not run.read_tests():
        log.warning(
            f"run {run.id} has no test, so only bits can be compared; segsweep test {run.id} adds one"
        )
    _use_threads_of(run)
    for members in rounds:
        reasons = execute_members(members).reasons
        if reasons:
            raise UserError("; ".join(f"run {id}, again: {reason}" for id, reason in reasons.items()))
    return rounds[0]


def _run(word: str, runs_dir: Path) -> RunFolder:
    """Return the run that an id or a folder names."""
    return RunFolder(Path(word)) if layout.is_run(Path(word)) else find_run(runs_dir, word)


def _use_threads_of(run: RunFolder) -> None:
    """Let the new process compute with as many threads as the old one: sums depend on their number."""
    environment = run.environment()
    if environment is not None and environment.threads and not any(name in os.environ for name in THREADS):
        os.environ[THREADS[0]] = str(environment.threads)


def lines(one: "Reproduction") -> Iterator[str]:
    """Yield the comparison of one run."""
    yield f"run {one.old.id}, again in {one.new.path}: {one.verdict}"
    for doubt in one.doubts:
        yield f"  doubtful: {doubt}"
    for weights in one.weights:
        yield f"  {weights.name}: " + (
            f"{weights.unlike} of {weights.tensors} tensors differ, by {weights.largest:.1e} of their range"
            if weights.unlike
            else f"all {weights.tensors} tensors have the same bits"
        )
    if not one.weights:
        yield "  weights: one of the two has no checkpoint"
    curve = one.curve
    apart = ", ".join(
        f"{name} is not a finite number in both" if value is None else f"{name} by up to {value:.2g}"
        for name, value in curve.largest.items()
    )
    told = "the same figures" if curve.first is None else f"they differ from step {curve.first} on: {apart}"
    yield f"  curve: {plural(curve.rows, 'row')} in both, {told}"
    for test in one.tests:
        yield from _of_test(test)
    if not one.tests:
        yield "  tests: none in both"
    for kind, changes in one.surroundings.items():
        if changes or kind != "incidents":
            yield f"  {kind}: {'; '.join(changes) or 'the same'}"


def _of_test(test: "TestAgain") -> Iterator[str]:
    yield f"  test {test.name}: {test.verdict}, mIoU {100 * test.first:.2f} % → {100 * test.second:.2f} %"
    if test.unlike:
        yield f"    not measured alike: {', '.join(test.unlike)}"
    if test.difference is None or test.verdict == "equal":
        return
    found = test.difference
    yield (
        f"    {100 * found.value:+.2f} points, 95 % over {plural(test.images, 'image')}: "
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}; this test set could tell apart "
        f"{100 * found.smallest:.2f}"
    )
    if test.limit >= 0:  # not NaN
        yield f"    by its {test.seeds} seeds, two are up to {100 * test.limit:.2f} points apart (95 %)"
    else:
        yield f"    the noise of seeds is not known: {plural(test.seeds, 'seed')} with this test, 3 would do"
