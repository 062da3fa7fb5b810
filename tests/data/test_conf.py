"""Every YAML of this layer builds what it names, with every option spelt as the class spells it."""

import inspect

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from segsweep.data.module import SegmentationData
from tests.data.every_set import CONF, built, composed


@pytest.mark.parametrize("augment", sorted(path.stem for path in (CONF / "augment").glob("*.yaml")))
@pytest.mark.parametrize("dataset", sorted(path.stem for path in (CONF / "dataset").glob("*.yaml")))
def test_data_set_and_augmentation_build_and_give_a_sample(data_dir, dataset, augment):
    config = composed(dataset, augment, data_dir=str(data_dir))
    data = built(dataset, augment, data_dir=str(data_dir))
    assert isinstance(data, SegmentationData)
    data.setup("fit")
    sample = data.augment(data.split("train")[0], 0, 0, 0)
    assert sample.label.shape == tuple(config.size) == data.size
    assert len(data.classes) == len(data.palette) == config.num_classes


@pytest.mark.parametrize("file", sorted(CONF.glob("dataset/*.yaml")), ids=lambda file: file.stem)
def test_head_of_a_data_set_file_places_it_globally_and_documents_its_options(file):
    lines = file.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("augment", ["paper", "none"])
def test_augment_files_state_every_option(augment):
    cfg = OmegaConf.load(CONF / "augment" / f"{augment}.yaml")
    options = set(inspect.signature(get_class(cfg._target_)).parameters)
    assert set(cfg) == options | {"_target_"}
