"""Every YAML of this layer builds what it names, with every option spelt as the class spells it."""

import inspect
import shutil

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from segsweep.data.check.inspect import check
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.sets.ade20k import Ade20k
from segsweep.data.sets.sbd import Sbd
from tests.data.every_set import CONF, built, composed


@pytest.mark.parametrize("augment", sorted(path.stem for path in (CONF / "augment").glob("*.yaml")))
@pytest.mark.parametrize("dataset", sorted(path.stem for path in (CONF / "dataset").glob("*.yaml")))
def test_data_set_and_augmentation_build_and_give_a_sample(data_dir, dataset, augment):
    config = composed(dataset, augment, data_dir=str(data_dir))
    data = built(dataset, augment, data_dir=str(data_dir))
    assert isinstance(data.dataset, SegmentationDataset)
    data.setup("fit")
    sample = data.augment(data.dataset.split("train")[0], 0, 0, 0)
    assert sample.label.shape == tuple(config.size) == data.size
    classes = len(data.dataset.classes)
    assert classes == len(data.dataset.palette) == (config.num_classes or classes)


def test_hidden_files_and_folders_are_no_samples(tmp_path, data_dir):
    """Macs leave ._NAME beside NAME, in every folder that they write."""
    root = shutil.copytree(data_dir, tmp_path / "all")
    sets = [
        built(path.stem, "none", data_dir=str(root)).dataset
        for path in sorted((CONF / "dataset").glob("*.yaml"))
    ]
    before = [data.split(name).ids.tolist() for data in sets for name in (data.train_split, data.val_split)]
    for file in [path for path in root.rglob("*.*") if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        ")
    shutil.copytree(root / "cityscapes/leftImg8bit/val", root / "cityscapes/leftImg8bit/train/.Trashes")
    after = [data.split(name).ids.tolist() for data in sets for name in (data.train_split, data.val_split)]
    assert after == before
    for data in sets:
        data.check_files()
        if isinstance(data, Ade20k | Sbd):
            assert not [
                p for p in check(data, (16, 16), True, 0, lambda *_: None).problems if "._" in "".join(p)
            ]


@pytest.mark.parametrize("file", sorted(CONF.glob("dataset/*.yaml")), ids=lambda file: file.stem)
def test_head_of_a_data_set_file_places_it_globally_and_documents_its_options(file):
    lines = file.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("augment", ["paper", "none"])
def test_augment_files_state_every_option(augment):
    cfg = OmegaConf.load(CONF / "augment" / f"{augment}.yaml")
    options = set(inspect.signature(get_class(cfg._target_)).parameters)
    assert set(cfg) | {"size"} == options | {"_target_"}
