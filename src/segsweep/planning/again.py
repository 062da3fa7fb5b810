"""A trained run planned once more, in another folder of runs: the same configuration, sources and tests.

Unlike a command's members, these are not composed: configuration and id are those in the old run's folder.
What has changed since then is looked for first, so that nothing trains for hours on data, or from weights,
that are not those of the old run.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from segsweep.config import groups as config_files
from segsweep.config.path_options import all_path_options
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, UserError, as_typed
from segsweep.execution import trust
from segsweep.planning import by_id
from segsweep.planning.content import Found, built_from, content_of
from segsweep.planning.plan import Member
from segsweep.runs import layout
from segsweep.runs.contents import Plan, State
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import CONTENT, classed, identity
from segsweep.runs.lineage import source
from segsweep.runs.settings import Config
from segsweep.runs.versions import current_config, with_current_classes

log = logging.getLogger("segsweep")

OTHERS = {
    "runs_dir", "stages", "test", "logger", "split", "predictions", "checkpoint.test", "sweep", "force",
    "early_stop", "on_failure", "skip_invalid",
}  # fmt: skip
"""What changes no weights and may not be given either: the old run says how it is tested."""


@dataclass(frozen=True, kw_only=True)
class Again(Member):
    """A member that is an old run once more."""

    old: RunFolder

    @cached_property
    def found(self) -> Found:
        """The old run's id and identity, also if another version of segsweep made them."""
        return Found(self.old.id, dict(self.old.plan.identity))

    def record(self) -> Plan:
        """What the old run's plan.json says."""
        plan = Plan.read(self.old.path / layout.PLAN, "")
        assert plan is not None
        return plan


def again(
    run: RunFolder, out: Path, overrides: Sequence[str], chain: bool, trusted: bool
) -> list[list[Again]]:
    """Plan a run once more, with `out` as its folder of runs, after the runs that it starts from.

    Args:
        run: a run that is done.
        out: where it is to be trained again.
        overrides: options that are no part of what a run is, such as data_dir.
        chain: whether the runs that it starts from are trained again, too. If not, `out` gets a link to the
            one whose weights it starts from.
        trusted: whether any class that the old run names may be built.

    Returns:
        One list for each configuration under which the runs were tested: all runs are in each.

    Raises:
        UserError: the run cannot be trained again as it was, or names classes that are not trusted.
    """
    check_options(overrides)
    if out.resolve() == run.path.parent.resolve():
        raise ConfigError(f"out={out}: there the run itself is; give another folder")
    runs, members = with_sources(run), list[list[Again]]()
    if not chain:
        runs = _linked(runs[-2:], out)
    for one in runs:
        if (out / one.id).is_symlink():
            raise ConfigError(f"{out / one.id}: a link to the old run, from chain=false; give another out=…")
        one.allowed |= run.allowed | by_id.named_classes(overrides)
        if trusted:
            one.trust()
        trust.check(one, one.config())
        before = members[-1][0] if members and members[-1][0].id == one.plan.parent else None
        members.append(_members(one, out, overrides, before))
    return [
        [one or of_run[0] for one, of_run in zip(asked, members, strict=True)]
        for asked in zip_longest(*members)
    ]


def check_options(overrides: Sequence[str]) -> None:
    """Raise ConfigError for an argument that would make another run, or that says how it is tested."""
    for override in overrides:
        key, equals, _ = override.partition("=")
        group, _, option = key.partition(".")
        is_place = group == "dataset" and option in all_path_options()
        if not equals or not (is_place or (classed(key) is False and not {key, group} & OTHERS)):
            raise ConfigError(
                f"{override}: cannot be given here, as the old run says what is trained and tested; what "
                "can: data_dir, dataset.root and other folders, trainer.devices, trainer.accelerator, "
                "num_workers and other options that are no part of what a run is"
            )


def with_sources(run: RunFolder) -> list[RunFolder]:
    """Return the runs that a run starts from, directly or indirectly, the first of them first, and itself.

    Raises:
        UserError: one of them is not there or not done, or was trained elsewhere.
    """
    found = [run]
    while (id := source(found[0])) is not None:
        found.insert(0, RunFolder(run.path.parent / id))
        if not layout.is_run(found[0].path):
            raise UserError(f"run {found[1].id} starts from {found[0].path}, which is not there")
    for one in found:
        if (state := one.status().state) is not State.DONE:
            raise UserError(f"run {one.id} is {state}, not done: there is nothing to compare with")
        if one.plan.identity.get("adopted"):
            raise UserError(f"run {one.id} was not trained by segsweep, which cannot train it again")
    return found


def _linked(runs: Sequence[RunFolder], out: Path) -> list[RunFolder]:
    """Put a link to the run whose weights the last one starts from into `out`; return the last one."""
    for one in runs[:-1]:
        link = out / one.id
        if layout.is_run(link) and link.resolve() != one.path.resolve():
            raise ConfigError(f"{link}: trained again earlier, without chain=false; give another out=…")
        out.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(one.path.resolve(), target_is_directory=True)
    return list(runs[-1:])


def _members(run: RunFolder, out: Path, overrides: Sequence[str], parent: Again | None) -> list[Again]:
    """Return the run once for each configuration that it was tested under; once if it was not tested."""
    config, plan = _configuration(run, overrides), run.plan
    check_same(run, config)
    # Not the run's own logger: the service would take both for one run, and write over the old one's figures.
    logger = config_files.read(dict(config_files.files("logger"))["csv"])
    plain: dict[str, Any] = {"runs_dir": str(out), "logger": logger, "force": False}
    plain |= dict.fromkeys(("split", "predictions", "sweep", "early_stop"))
    configs = [config.changed(**{**plain, **tests}) for tests in tests_of(run)]
    for each in configs:
        trust.check(run, each)
    return [
        Again(each, dict(plan.identity), plan.choices, plan.overrides, plan.stage, parent, old=run)
        for each in configs
    ]


def tests_of(run: RunFolder) -> list[dict[str, Any]]:
    """Return what a configuration says for the tests that a run had: one for each split and weights.

    A test that does not say how it was asked for, as those of early versions, is left out with a warning.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, (_, card) in run.read_tests().items():
        if (asked := run.asked(name)) is None:
            log.warning(f"{run.tests / name}: not repeated, as it has no whole {layout.ASKED}")
            continue
        which = card.checkpoint.which
        split = asked.suffix.removeprefix("-best" if which == "best" else "").removeprefix("-") or None
        tests = found.setdefault(asked.suffix, {"test": {}, "split": split})
        tests["checkpoint"] = {**run.config()["checkpoint"], "test": which}
        tests["test"][name] = with_current_classes(asked.strategy.plain())
    return list(found.values()) or [{"test": {}}]


def _configuration(run: RunFolder, overrides: Sequence[str]) -> RunConfig:
    """Return the run's own configuration with these options.

    Raises:
        UserError: an option that it does not have, or this version cannot train what it says.
    """
    own = run.config()
    # As if it was not trained yet: an option that this version lacks would change the weights.
    content = Config.read(run.path / layout.CONFIG, "")
    assert content is not None
    current_config(content.plain(), run.plan, trained=False)
    references = by_id.references_of(own, run.plan.choices)
    composed = OmegaConf.create({**own, "dataset": {**own["dataset"], **references}})
    return by_id.with_options(composed, own, run, overrides)


def check_same(run: RunFolder, config: RunConfig) -> None:
    """Raise UserError if a configuration, with the data and weights that it names now, is of another run."""
    now = identity({**config, "runs_dir": str(run.path.parent)})
    before = run.plan.identity
    if CONTENT in before:
        content = content_of(built_from(config.dataset, config.num_classes), Path.cwd())
        if isinstance(content, UserError):
            raise content
        now[CONTENT] = f"sha256:{content}"
    for key, value in before.items():
        if as_typed(now.get(key)) != as_typed(value):
            hint = "; give the folder of those data as dataset.root=…" if key == CONTENT else ""
            raise ConfigError(
                f"run {run.id} cannot be trained again as it was: {key} is {as_typed(now.get(key))} now, "
                f"and was {as_typed(value)}{hint}"
            )
