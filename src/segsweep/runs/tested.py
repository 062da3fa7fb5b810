"""The tests of a run: the settings and names that identify them, and their expected and present results.

This decides whether a run is tested as requested, so it must not depend on the module of a class or on
options that a later version adds.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from segsweep.config.schema import RunConfig
from segsweep.errors import DamagedFileError
from segsweep.runs import layout
from segsweep.runs.contents import Asked, Card, Metrics
from segsweep.runs.records import Record
from segsweep.runs.versions import class_name

log = logging.getLogger("segsweep")

R = TypeVar("R", bound=Record)

COUNTS, PNG, SUBMISSION = "counts", "png", "submission"
"""Results of a test: counts of right and wrong pixels, predictions as a folder of PNGs or as an archive."""
PREDICTIONS = {PNG: layout.PREDICTIONS, SUBMISSION: layout.SUBMISSIONS}


def canonical_test(strategy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a test: settings that are not null, and its class by the name in run ids.

    A test therefore stays done if its class moves, or a later version adds an option.
    """
    settings = {key: value for key, value in strategy.items() if value is not None}
    return {**settings, "_target_": class_name(str(strategy["_target_"]))}


def request(asked: Asked) -> tuple[dict[str, Any], str, str | None]:
    """Return what a request comes to: equal ones are answered by the same test."""
    return canonical_test(asked.strategy.plain()), asked.suffix, asked.usual


def test_suffix(config: RunConfig) -> str:
    """Return the end of a test folder's name: weights and split, if they are not the default ones."""
    weights = "-best" if config.checkpoint.test == "best" else ""
    return weights + (f"-{config.split}" if config.split else "")


def needed(predictions: str | None, usual: str | None) -> set[str | None]:
    """Return the results that a test needs: those requested, else the usual; counts if they are the usual.

    `usual` is the default result of a split: counts, or predictions if its labels are not public.
    """
    return {predictions or usual, *({COUNTS} if usual == COUNTS else ())}


class Tested:
    """The part of a run folder that tests write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tests(self) -> Path:
        """The folder of the tests, each of which is a folder."""
        return self.path / layout.TESTS

    def read_tests(self) -> dict[str, tuple[Metrics, Card]]:
        """Read figures and protocol card of each test, by name; leave out damaged ones, with a warning."""
        found = {}
        # A leading dot marks a test whose process was killed while writing it.
        for path in sorted(self.tests.glob(f"[!.]*/{layout.METRICS}")):
            metrics = self._read(path, Metrics)
            card = self._read(path.with_name(layout.PROTOCOL), Card) if metrics is not None else None
            if metrics is not None and card is not None:
                found[path.parent.name] = metrics, card
        return found

    def asked(self, test: str) -> Asked | None:
        """Read how a test was requested; None if the file is damaged, so that it is tested again."""
        return self._read(self.tests / test / layout.ASKED, Asked)

    def _read(self, path: Path, kind: type[R]) -> R | None:
        try:
            return kind.read(path, f"remove {path.parent} and test again: segsweep test {self.path.name}")
        except DamagedFileError as error:
            log.warning(f"left out: {error}")
            return None

    def strategies(self) -> list[str]:
        """Return the names of the run's tests."""
        return list(self.read_tests())

    def predictions(self) -> list[Path]:
        """Return folders and archives of predictions; they are complete, as they get their names last."""
        return sorted(path for folder in PREDICTIONS.values() for path in self.path.glob(f"{folder}/[!.]*"))

    def yields(self) -> dict[str, set[str]]:
        """Return the present results of each test, by name."""
        found = {name: {COUNTS} for name in self.strategies()}
        for path in self.predictions():
            name, kind = (path.name, PNG) if path.is_dir() else (path.stem, SUBMISSION)
            found.setdefault(name, set()).add(kind)
        return found

    def is_tested(self, config: RunConfig) -> bool:
        """Whether each test that a configuration asks for is there with all results that it needs."""
        complete = [
            (canonical_test(asked.strategy.plain()), asked.suffix)
            for name, there in self.yields().items()
            if (asked := self.asked(name)) and needed(config.predictions, asked.usual) <= there
        ]
        tests = [(canonical_test(strategy), test_suffix(config)) for strategy in config.test.values()]
        return all(test in complete for test in tests)
