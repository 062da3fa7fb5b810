"""The command that trains and tests a run, or those of a configuration that are missing.

It is made of the overrides that first requested the run. What is done is not repeated by it, and what was
interrupted goes on.
"""

import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from segsweep.planning.experiment import Published, contents, published_table
from segsweep.runs.folder import RunFolder

SEED, EXPERIMENT = "seed", "experiments"


def command(runs: Sequence[RunFolder]) -> str | None:
    """Return the command for runs that differ at most in their seeds; None for weights trained elsewhere.

    Members of an experiment have the experiment's command: its rows are no arguments of their own.
    """
    if any(run.plan.adopted is not None for run in runs):
        return None
    asked = [overrides(run) for run in runs]
    others = [{key: text for key, text in found.items() if key != SEED} for found in asked]
    seeds = dict.fromkeys(found[SEED].partition("=")[2] for found in asked if SEED in found)
    if len(seeds) < len(runs) or any(other != others[0] for other in others):
        return " && ".join(dict.fromkeys(_train(list(found.values())) for found in asked))
    return _train([*others[0].values(), f"{SEED}={','.join(seeds)}"], swept=len(seeds) > 1)


def overrides(run: RunFolder) -> dict[str, str]:
    """Return the overrides of a run by key, with the folder in which it lies now."""
    texts = run.plan.overrides
    named = next((text.partition("=")[2] for text in texts if text.startswith(f"{EXPERIMENT}=")), None)
    rows = words_of_rows(named) if named else frozenset()
    found = {text.partition("=")[0].lstrip("+"): text for text in texts if text not in rows}
    found.pop("runs_dir", None)
    if named:
        found[EXPERIMENT] = f"+{EXPERIMENT}={named}"
    place = run.path.parent
    return found if place == Path("runs") else {**found, "runs_dir": f"runs_dir={place}"}


@cache
def words_of_rows(experiment: str) -> frozenset[str]:
    """Return the overrides by which an experiment's rows make its members."""
    rows = [
        row
        for content in contents(experiment, [])
        for row in content.get("hydra", {}).get("sweeper", {}).get("rows", [])
    ]
    if (table := published_table(experiment)) is not None:
        rows += Published.of(table).members(systems=True)
    return frozenset(word for row in rows for word in str(row).split())


def _train(words: Sequence[str], swept: bool = False) -> str:
    is_experiment = any(word.startswith(f"+{EXPERIMENT}=") for word in words)
    return shlex.join(["segsweep", "train", *(["-m"] if swept or is_experiment else ()), *words])
