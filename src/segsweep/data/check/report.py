"""The findings of a check, as data and as a page of Markdown.

Shape letters: `K` the number of classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.data.check.problems import Problem
from segsweep.terminal import escape_markdown


@dataclass(frozen=True)
class SplitReport:
    """One existing split."""

    samples: int
    """The listed samples, each once; in a partial dataset, those whose files all exist."""
    official: int | None
    """The official release's number of samples."""
    missing: int
    """Listed samples with a missing file."""
    pixels: NDArray[np.int64]
    """[K+1], of each class and, last, the ignored."""
    images: NDArray[np.int64]
    """[K+1], the number of labels that hold each."""
    sizes: Sequence[tuple[int, int]]
    """The (H, W) of its images, each once, smallest first."""

    def share(self) -> NDArray[np.float64]:
        """Return [K+1]: each class's share of labelled pixels and, last, the ignored share of all pixels."""
        labelled, everything = self.pixels[:-1].sum(), self.pixels.sum()
        with np.errstate(invalid="ignore"):
            return np.append(self.pixels[:-1] / labelled, self.pixels[-1] / everything)


@dataclass(frozen=True)
class Report:
    """A whole check."""

    title: str
    classes: Sequence[str]
    splits: Mapping[str, SplitReport]
    problems: Sequence[Problem]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Return the samples by split and all problems, as `format=json` prints them."""
        return {
            "splits": {name: split.samples for name, split in self.splits.items()},
            "problems": [problem._asdict() for problem in self.problems],
        }

    def split_rows(self) -> list[dict[str, Any]]:
        """Return a row for each split."""
        return [
            {
                "split": name,
                "samples": split.samples,
                "official": split.official,
                "missing": split.missing,
                "height x width": _range(split.sizes),
            }
            for name, split in self.splits.items()
        ]

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a row for each class and the ignored pixels, with columns for each split with labels."""
        shown = {name: split for name, split in self.splits.items() if split.pixels.any()}
        return [
            {
                "class": name,
                "pixels": f"{sum(int(split.pixels[k]) for split in shown.values()):,}",
                **{key: text for part, split in shown.items() for key, text in _cells(part, split, k)},
            }
            for k, name in enumerate((*self.classes, "(ignored)"))
        ]

    def verdict(self) -> str:
        """Return the number of problems in words."""
        return {0: "no problems", 1: "1 problem"}.get(len(self.problems), f"{len(self.problems)} problems")

    def markdown(self) -> str:
        """Return the report as a page of Markdown."""
        parts = [
            f"# {escape_markdown(self.title)}",
            "",
            f"{self.verdict()}.",
            "",
            *_table(self.split_rows()),
            "",
        ]
        if self.problems:
            parts += ["## Problems", "", *_table([problem._asdict() for problem in self.problems]), ""]
        if self.notes:
            parts += ["## Notes", "", *(f"- {escape_markdown(note)}" for note in self.notes), ""]
        parts += ["## Classes", "", "Shares of labelled pixels; the last row's of all pixels.", ""]
        return "\n".join([*parts, *_table(self.class_rows())]) + "\n"


def _cells(name: str, split: SplitReport, k: int) -> list[tuple[str, str]]:
    return [
        (f"{name} pixels", f"{split.share()[k]:.2%}"),
        (f"{name} images", str(split.images[k])),
    ]


def _range(sizes: Sequence[tuple[int, int]]) -> str | None:
    """Return sizes in words: the only one, or the range of each side."""
    if not sizes:
        return None
    sides = zip(*sizes, strict=True)
    least, most = zip(*((min(side), max(side)) for side in sides), strict=True)
    ends = dict.fromkeys("x".join(map(str, end)) for end in (least, most))
    return " to ".join(ends) + (f" ({len(sizes)} sizes)" if len(sizes) > 1 else "")


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows of equal keys as lines of a Markdown table."""
    if not rows:
        return ["none"]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]


def _cell(value: Any) -> str:
    return "" if value is None else escape_markdown(value)
