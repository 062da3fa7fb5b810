"""The sentences of a report: what each outcome reads like, and strategies told together."""

import pytest

from segsweep.reports.findings.fields import ToBaseline
from segsweep.reports.findings.sentences import sentence

FEW = "3 seeds: too few for a verdict over seeds (6 would do)"


def against(value: float, low: float | None, high: float | None, p: float, verdict: str = FEW) -> ToBaseline:
    """Return a difference in points."""
    ends = [None if end is None else end / 100 for end in (low, high)]
    return ToBaseline(value / 100, *ends, p=p, p_holm=p, smallest=0.007, seeds=3, verdict=verdict)


ABOVE, BELOW = against(1.64, 1.13, 2.14, 0.002), against(-1.64, -2.14, -1.13, 0.002)
NEITHER, ALONE = against(-0.2, -0.6, 0.2, 0.4), against(-2.1, -3.8, -0.3, 0.088)


@pytest.mark.parametrize(
    ("difference", "number", "told"),
    [
        (ABOVE, 4, "aspp beats none by 1.6 points (1.1 to 2.1 over images)"),
        (BELOW, 4, "none beats aspp by 1.6 points (1.1 to 2.1 over images)"),
        (against(0.5, -0.1, 1.1, 0.04), 1, "aspp beats none by 0.5 points (-0.1 to 1.1 over images, p 0.04)"),
        (
            NEITHER,
            4,
            "aspp and none cannot be told apart: -0.2 points (-0.6 to 0.2 over images); "
            "this test set could tell apart 0.7 points",
        ),
        (
            ALONE,
            4,
            "none is above aspp by 2.1 points (0.3 to 3.8 over images) in this comparison alone; over the "
            "table's 4 comparisons that is not enough to tell them apart (adjusted p 0.088)",
        ),
        (
            ALONE,
            1,
            "none is above aspp by 2.1 points (0.3 to 3.8 over images), which the paired test does not "
            "confirm (p 0.088)",
        ),
        (against(1.6, None, None, 1.0), 4, "aspp and none are 1.6 points apart, without an interval"),
    ],
)
def test_each_outcome_in_words(difference, number, told):
    assert sentence("aspp", "none", {"single": difference}, {"single": number}) == f"{told}; {FEW}."


def test_two_that_are_alike_on_every_image_do_not_say_what_the_test_set_could_tell_apart():
    """The noise over images is then zero, and "could tell apart 0.0 points" would not be true."""
    alike = ToBaseline(0.0, 0.0, 0.0, p=1.0, p_holm=1.0, smallest=0.0, seeds=3, verdict=FEW)
    found = sentence("aspp", "none", {"single": alike}, {"single": 1})
    assert found == (
        "aspp and none cannot be told apart: +0.0 points (0.0 to 0.0 over images); no image shows a "
        f"difference; {FEW}."
    )


def test_strategies_of_one_outcome_are_told_together():
    numbers = dict.fromkeys(("single", "flip", "ms_flip"), 2)
    found = sentence("aspp", "none", {"single": ABOVE, "flip": ABOVE}, numbers, is_named=True)
    assert found == (
        "aspp beats none by 1.6 points under single (1.1 to 2.1 over images) and 1.6 under flip "
        f"(1.1 to 2.1); {FEW}."
    )
    differences = {"single": ABOVE, "flip": NEITHER, "ms_flip": BELOW}
    clauses = sentence("aspp", "none", differences, numbers, is_named=True).split("; ")
    assert [clause.partition(":")[0].partition(" by ")[0] for clause in clauses] == [
        "aspp beats none",
        "aspp and none cannot be told apart",
        "this test set could tell apart 0.7 points",
        "none beats aspp",
        "3 seeds",
    ]


def test_verdicts_that_differ_name_their_strategy():
    other = against(1.64, 1.13, 2.14, 0.002, "8 seeds: told apart over seeds (p = 0.03)")
    found = sentence(
        "aspp", "none", {"single": ABOVE, "flip": other}, {"single": 1, "flip": 1}, is_named=True
    )
    assert found.endswith(f"; {FEW} under single; 8 seeds: told apart over seeds (p = 0.03) under flip.")
