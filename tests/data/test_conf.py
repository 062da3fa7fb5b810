"""Every YAML of this layer builds what it names, with every option spelt as the class spells it."""

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from segsweep.data.module import SegmentationData
from tests.data.writers import write_camvid

CONF = Path(__file__).parents[2] / "conf"
COMMON = {"batch_size": 2, "num_workers": 0, "seed": 0}


def compose(dataset: str, augment: str, **values):
    data = OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml")
    node = {"augment": OmegaConf.load(CONF / "augment" / f"{augment}.yaml")}
    return OmegaConf.merge(COMMON, data, node, values)


@pytest.mark.parametrize("augment", sorted(path.stem for path in (CONF / "augment").glob("*.yaml")))
@pytest.mark.parametrize("dataset", sorted(path.stem for path in (CONF / "dataset").glob("*.yaml")))
def test_data_set_and_augmentation_build_and_give_a_sample(tmp_path, dataset, augment):
    write_camvid(tmp_path / "camvid")
    cfg = compose(dataset, augment, data_dir=str(tmp_path))
    data = instantiate(cfg.dataset, augment=instantiate(cfg.augment))
    assert isinstance(data, SegmentationData)
    data.setup("fit")
    sample = data.augment(data.split("train")[0], 0, 0, 0)
    assert sample.label.shape == tuple(cfg.size) == data.size
    assert len(data.classes) == len(data.palette) == cfg.num_classes


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
