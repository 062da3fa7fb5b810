"""Errors as values: the line that is made of their fields, and their way between processes."""

import pickle

import pytest

from segsweep import errors
from segsweep.errors import DamagedFileError, DataError, DivergenceError, OptionError, PreemptedError

TOLD = [
    (OptionError("rates", [0, 6], "numbers from 1"), "rates=[0,6]: expected numbers from 1"),
    (OptionError("bias", None, "true or false"), "bias=null: expected true or false"),
    (
        OptionError("a.rats", problem="no such option", near=["rates"]),
        "a.rats: no such option; did you mean rates?",
    ),
    (OptionError("format", "cvs", near=["csv", "json"]), "format=cvs: did you mean csv?"),
    (
        OptionError("w", 0.5, "both", problem="no window", remedy="give w=1"),
        "w=0.5: no window; expected both; give w=1",
    ),
    (DataError("a/b.png", "is not an image file", "fetch it"), "a/b.png: is not an image file; fetch it"),
    (DamagedFileError("status.json", "damaged (no JSON)"), "status.json: damaged (no JSON)"),
    (PreemptedError(15, "after step 3"), "stopped by SIGTERM after step 3; the same command goes on"),
]


@pytest.mark.parametrize(("error", "line"), TOLD, ids=[line for _, line in TOLD])
def test_the_line_is_made_of_the_fields(error, line):
    assert str(error) == line


@pytest.mark.parametrize("error", [error for error, _ in TOLD] + [DivergenceError("NaN", 3, ["x"])], ids=repr)
def test_an_error_travels_between_processes(error):
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


def test_a_part_of_the_configuration_is_added_by_whoever_builds_it():
    error = OptionError("lr", -1, "a number above 0").within("optimizer")
    assert str(pickle.loads(pickle.dumps(error))) == "optimizer.lr=-1: expected a number above 0"
    assert str(errors.ConfigError("two are equal").within("optimizer")) == "two are equal"


def test_near_names_of_an_option_within_a_part():
    error = OptionError("rats", problem="no such option", near=["rates", "width"]).within("head")
    assert str(error) == "head.rats: no such option; did you mean rates?"


class OddError(Exception):
    """An error of a user's own code that pickle cannot restore."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"{image}: {reason}")


class OddUserError(OddError, errors.UserError):
    """The same, as a user's mistake."""


def test_an_error_that_cannot_travel_is_replaced_by_its_line():
    assert str(errors.portable(OddError("a.png", "odd"))) == "OddError: a.png: odd"
    told = errors.portable(OddUserError("a.png", "odd"))
    assert (type(told), str(told)) == (errors.UserError, "a.png: odd")
