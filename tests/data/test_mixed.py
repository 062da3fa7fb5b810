from pathlib import Path

import numpy as np
import pytest

from segsweep.data import prepare
from segsweep.data.sets.mixed import CocoSbdVoc, VocSbd
from segsweep.data.sets.sbd import Sbd
from segsweep.errors import ConfigError, DataError
from tests.data.writers_coco import write_coco
from tests.data.writers_voc import write_release, write_voc
from tests.shared import shared


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    devkit = write_voc(tmp_path / "VOCdevkit", train=3, extra=4)
    return {"root": devkit, "coco_root": write_coco(tmp_path / "coco", train=6)}


def mixture(folders, **options) -> CocoSbdVoc:
    data = CocoSbdVoc(**folders, **options)
    prepare.run(data.preparations(), 0, lambda done, total: None)
    return data


def test_voc_and_sbd_together_are_trainaug_in_two_parts(folders):
    data = VocSbd(root=folders["root"])
    data.check_files()
    split = data.split("train")
    assert split.part_lengths == (3, 4)
    assert (data.parts, data.weights) == (("voc", "sbd"), None)
    aug = Sbd(root=folders["root"]).split("trainaug")
    assert sorted(split.ids.tolist()) == aug.ids.tolist()
    by_id = {sample.id: sample for sample in aug}
    for sample in split:
        np.testing.assert_array_equal(sample.label, by_id[sample.id].label)


def test_the_official_lists_give_1464_and_9118(tmp_path):
    lists = shared("data/lists/voc")
    folder = tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    for name in ("train", "val", "trainaug"):
        (folder / f"{name}.txt").write_text((lists / f"{name}.txt").read_text())
    split = VocSbd(root=tmp_path).split("train")
    assert split.part_lengths == (1464, 9118)
    assert len(split) == VocSbd.official["train"].count == 10582


def test_three_parts_follow_one_another_with_their_own_samples(folders):
    data = mixture(folders)
    data.check_files()
    split = data.split("train")
    assert split.part_lengths == (5, 4, 3)
    assert data.parts == ("coco", "sbd", "voc")
    assert [sample.id for sample in split] == split.ids.tolist()
    assert [i[:2] for i in split.ids.tolist()] == ["00"] * 5 + ["20"] * 7
    assert {sample.label.shape for sample in split} == {(64, 64), (36, 48)}
    assert data.split("val").ids.tolist() == ["2008_000000", "2008_000001"]


def test_coco_is_to_be_prepared_by_the_mixtures_own_command(folders):
    with pytest.raises(DataError) as error:
        CocoSbdVoc(**folders).check_files()
    assert str(error.value).endswith(
        f"segsweep data prepare dataset=coco_sbd_voc dataset.root={folders['root']} "
        f"dataset.coco_root={folders['coco_root']}"
    )


def test_one_folder_takes_what_both_need(tmp_path, folders):
    folders["root"] = write_release(tmp_path / "benchmark_RELEASE", folders["root"])
    data = mixture(folders, prepared=tmp_path / "made")
    data.check_files()
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["coco_voc2017", "sbd"]
    assert all(each.complete for each in data.preparations())
    assert not (tmp_path / "coco" / "segsweep").exists()


def test_weights_are_one_positive_number_a_part(folders):
    assert VocSbd(root=folders["root"], weights=[1, 3]).weights == (1.0, 3.0)
    assert mixture(folders, weights=[2, 1, 0.5]).weights == (2.0, 1.0, 0.5)
    for wrong in ([1], [1, 2, 3], [1, 0], [1, -1], [1, float("nan")], [1, "2"], [1, True]):
        with pytest.raises(ConfigError, match=r"^weights=.* for each of voc, sbd"):
            VocSbd(root=folders["root"], weights=wrong)
