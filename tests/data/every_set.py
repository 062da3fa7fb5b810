"""Every data set of conf/dataset that has files, as a few fake ones in its official layout."""

from pathlib import Path

from omegaconf import OmegaConf

from segsweep.builders import build_data
from segsweep.config.schema import RunConfig
from segsweep.data import prepare
from segsweep.data.datamodule import DataModule
from tests.data.writers import write_camvid
from tests.data.writers_ade20k import write_ade20k
from tests.data.writers_camvid import write_camvid_release
from tests.data.writers_cityscapes import write_cityscapes
from tests.data.writers_coco import write_coco
from tests.data.writers_own import write_folder
from tests.data.writers_voc import write_voc

CONF = Path(__file__).parents[2] / "conf"
COMMON = {"batch_size": 2, "num_workers": 0, "seed": 0}


def composed(dataset: str, augment: str, **values):
    """The two parts of the configuration that data is built from, without the rest."""
    data = OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml")
    node = {"augment": OmegaConf.load(CONF / "augment" / f"{augment}.yaml")}
    return OmegaConf.merge(COMMON, data, node, values)


def built(dataset: str, augment: str, **values) -> DataModule:
    """The data set with its augmentation."""
    return build_data(
        RunConfig.of(OmegaConf.to_container(composed(dataset, augment, **values), resolve=True))
    )


def write_every_set(root: Path) -> Path:
    """Write all of them below a folder, each where `data_dir` has it, and prepare those that need it."""
    write_camvid(root / "camvid")
    write_camvid_release(root / "camvid720")
    write_ade20k(root / "ADEChallengeData2016", train=1, val=1)
    write_cityscapes(root / "cityscapes", frames=1)
    write_voc(root / "VOCdevkit")
    write_coco(root / "coco")
    write_folder(root / "folder", count=6)
    for file in sorted((CONF / "dataset").glob("*.yaml")):
        prepare.run(
            built(file.stem, "none", data_dir=str(root)).dataset.preparations(), 0, lambda done, total: None
        )
    return root
