"""Members composed the quick way against Hydra's own composition, and what tells runs apart."""

import pytest

from segsweep.errors import ConfigError
from segsweep.runs import compare
from segsweep.runs.contents import Plan
from segsweep.runs.folder import RunFolder
from tests.support.composing import composed, composing

MEMBERS = [
    ("head=aspp", "head.rates=[1,2]", "seed=3"),
    ("head=none", "seed=3", "optimizer.lr=0.5"),
    ("head=aspp", "head.rates=[6]", "seed=4", "size=64"),
    ("dataset=camvid", "dataset.root=/x", "test=[flip,ms]", "test.ms.scales=[1,2]"),
    ("experiments=demo", "head=ksac", "trainer.max_steps=7"),
    ("+head.extra=1", "backbone=resnet18", "~optimizer.momentum"),
    ("seed=1", "optimizer.lr=1"),
    ("seed=2", "optimizer.lr=1e-3"),
    ("seed=2", "seed=7", "optimizer.lr=5"),  # the last wins
    ("size=[32,64]", "head.rates=[]", "trainer.val_every=null"),
    ("size=32", "head.rates=[1]", "trainer.val_every=9"),
    ("test=[slide]", "size=[40,80]"),  # a window is a size in a list of references
    ("dataset=camvid", "data_dir=/a b", "seed=1"),  # inside a longer text
    ("dataset=camvid", "data_dir=/c", "seed=2"),
    ("runs_dir=${data_dir}/runs", "data_dir=/d", "seed=1"),  # a reference of the member's own
    ("runs_dir=${data_dir}/runs", "data_dir=/e", "seed=2"),
    ("augment={scale_min:1,scale_max:2}", "augment.scale_max=3"),  # a mapping, and then a part of it
    ("augment={scale_min:1,scale_max:2}", "augment.scale_max=4"),
    ("++head.new=3", "++seed=4", "seed=5"),
    ("sweep='a=b'", "runs_dir='1e3'"),
    ("batch_size=${seed}", "seed=3"),
    ("batch_size=${seed}", "seed=4"),
]


@pytest.fixture
def composer():
    with composing() as found:
        yield found


def test_the_quick_way_is_hydras(composer):
    quick = [composer.member(overrides) for overrides in MEMBERS * 2]
    plain = [composed(*overrides) for overrides in MEMBERS]
    for found, expected in zip(quick, plain * 2, strict=True):
        assert found.config == expected.config
        assert found.id == expected.id
        assert found.choices == expected.choices
    assert len(composer.bases) < len(quick)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["head=none", "head.rates=[1]"], "aspp and ksac have it"),
        (["head.rates=[1]", "head.ratez=[1]"], "did you mean rates"),
        (["head=nine"], "did you mean none"),
    ],
)
def test_mistakes_are_told_as_elsewhere(composer, overrides, message):
    with pytest.raises(ConfigError, match=message):
        composer.member(overrides)


def run(tmp_path, name: str, choices: dict, identity: dict) -> RunFolder:
    folder = RunFolder(tmp_path / name)
    folder.write_plan(Plan(id=name, choices=choices, identity=identity, overrides=()), "")
    return folder


def test_runs_are_told_apart_by_what_differs(tmp_path):
    runs = [
        run(tmp_path, "a", {"head": "none"}, {"head.width": 8, "seed": 0, "dataset.seed": 0}),
        run(
            tmp_path,
            "b",
            {"head": "ksac"},
            {"head.width": 8, "head.rates": [6, 12], "seed": 0, "dataset.seed": 0},
        ),
        run(
            tmp_path,
            "c",
            {"head": "ksac"},
            {"head.width": 8, "head.rates": [1, 6], "seed": 1, "dataset.seed": 1},
        ),
    ]
    assert compare.axes(runs) == ["head", "seed", "head.rates"]
    assert compare.axes(runs[:2]) == ["head"]
    assert compare.label(runs[2], compare.axes(runs)) == "head=ksac seed=1 head.rates=[1,6]"
    assert compare.describe(runs[0], ["head.rates"]) == {"head.rates": compare.MISSING}
    assert compare.values(runs[1], ["head.rates", "seed"]) == {"head.rates": [6, 12], "seed": 0}
