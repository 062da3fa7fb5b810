"""experiments/heads.yaml: every head once, and nothing else that differs."""

import pytest

from segsweep.config.groups import choices
from segsweep.errors import ConfigError
from segsweep.planning.compose import compose
from segsweep.planning.plan import check_member


@pytest.fixture(scope="module")
def members(data_dir):
    return compose("train", ["-m", "+experiments=heads", f"data_dir={data_dir}"])


def test_every_head_is_in_it_once(members):
    """A newcomer's too."""
    assert sorted(member.choices["head"] for member in members) == choices("head")


def test_runs_differ_in_nothing_but_their_heads(members):
    first, *others = [
        {key: value for key, value in member.record().identity.items() if not key.startswith("head.")}
        for member in members
    ]
    assert all(other == first for other in others)


def test_all_of_them_build(members):
    for member in members:
        try:
            check_member(member)
        except ConfigError as error:
            pytest.fail(f"{member.choices['head']}: {error}")
