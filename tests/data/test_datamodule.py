"""Loaders under Lightning: what a step holds, resume, ranks, workers, and a mistake met in a worker."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from segsweep.data.augment import Augment
from segsweep.data.datamodule import DataModule
from segsweep.data.labels import plain
from segsweep.data.loading import collate
from segsweep.data.sample import Sample
from segsweep.data.sets.camvid import CamVid
from segsweep.data.split import FileSplit, check_disjoint
from segsweep.errors import ConfigError, DataError
from segsweep.rules import micro_batch
from tests.data.writers import write_camvid


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_camvid(tmp_path_factory.mktemp("camvid"), train=5, val=3)


def camvid(root, trainer=None, **options) -> DataModule:
    data = DataModule(CamVid(root=root), **{"size": 32, "batch_size": 4, "augment": Augment(32), **options})
    data.trainer = trainer
    return data


def trainer(step=0, steps=6, rank=0, world=1, accumulate=1) -> SimpleNamespace:
    return SimpleNamespace(
        global_step=step,
        max_steps=steps,
        global_rank=rank,
        world_size=world,
        accumulate_grad_batches=accumulate,
    )


def same(a, b) -> bool:
    return a["id"] == b["id"] and torch.equal(a["image"], b["image"]) and torch.equal(a["label"], b["label"])


def test_batches_have_the_promised_form(root):
    batches = list(camvid(root, trainer()).train_dataloader())
    assert len(batches) == 6
    assert batches[0]["image"].shape == (4, 3, 32, 32)
    assert batches[0]["image"].dtype == batches[0]["label"].dtype == torch.uint8
    assert batches[0]["label"].shape == (4, 32, 32)
    counts = Counter(name for batch in batches for name in batch["id"])
    assert sum(counts.values()) == 24
    assert set(counts.values()) == {4, 5}, "24 draws of 5 samples, straddling epochs"


def test_workers_change_nothing(root):
    alone = camvid(root, trainer(), num_workers=0).train_dataloader()
    two = camvid(root, trainer(), num_workers=2).train_dataloader()
    assert all(same(a, b) for a, b in zip(alone, two, strict=True))


def test_a_resumed_run_gets_the_batches_left(root):
    whole = list(camvid(root, trainer(accumulate=2)).train_dataloader())
    rest = list(camvid(root, trainer(step=4, accumulate=2)).train_dataloader())
    assert len(whole) == 12
    assert all(same(a, b) for a, b in zip(whole[8:], rest, strict=True))


def test_two_ranks_share_the_steps_of_one(root):
    alone = list(camvid(root, trainer()).train_dataloader())
    ranks = [list(camvid(root, trainer(rank=rank, world=2)).train_dataloader()) for rank in (0, 1)]
    for whole, first, second in zip(alone, *ranks, strict=True):
        assert whole["id"] == first["id"] + second["id"]
        assert torch.equal(whole["image"], torch.cat([first["image"], second["image"]]))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_validation_has_every_image_once_at_full_size(root, world):
    seen = []
    for rank in range(world):
        for batch in camvid(root, trainer(rank=rank, world=world)).val_dataloader():
            assert batch["image"].shape == (1, 3, 36, 48)
            seen += batch["id"]
    assert sorted(seen) == ["val_0000", "val_0001", "val_0002"]


# Advice on speed, given or not by the machine's number of cores.
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_lightning_trains_on_the_stream_and_resumes_in_it(root, tmp_path):
    seen: list[list[str]] = []
    validated: list[str] = []

    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 11, 1)

        def training_step(self, batch, _):
            seen.append(batch["id"])
            return self.layer(batch["image"].float() / 255).mean()

        def validation_step(self, batch, _):
            validated.extend(batch["id"])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def run(steps, ckpt=None):
        fit = pl.Trainer(
            accelerator="cpu", devices=1, max_steps=steps, accumulate_grad_batches=2, logger=False,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            use_distributed_sampler=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        )  # fmt: skip
        fit.fit(Model(), camvid(root), ckpt_path=ckpt, weights_only=True)
        return fit

    run(5)
    whole = list(seen)
    assert [len(ids) for ids in whole] == [2] * 10
    expected = [b["id"] for b in camvid(root, trainer(steps=5, accumulate=2)).train_dataloader()]
    assert whole == expected
    assert validated == ["val_0000", "val_0001", "val_0002"]
    seen.clear()
    run(3).save_checkpoint(tmp_path / "three.ckpt")
    seen.clear()
    run(5, tmp_path / "three.ckpt")
    assert seen == whole[6:]


def test_without_augment_samples_are_cropped_and_padded_to_size(root):
    loader = camvid(root, trainer(), augment=None, size=[30, 64]).train_dataloader()
    batch = next(iter(loader))
    assert batch["label"].shape == (4, 30, 64)
    assert (batch["label"][:, :, 48:] == 255).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_one_line_from_a_worker_too(tmp_path, workers):
    write_camvid(tmp_path)
    (tmp_path / "train" / "train_0001.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^\S*train_0001\.jpg: is not an image file") as error:
        list(camvid(tmp_path, trainer(), num_workers=workers).train_dataloader())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": None}, "size"),
        ({"size": [32]}, "size"),
        ({"size": [32, -1]}, "size"),
        ({"size": 3.5}, "size"),
        ({"batch_size": 0}, "batch_size"),
        ({"num_workers": -1}, "num_workers"),
    ],
)
def test_wrong_options_are_named_in_one_line(root, options, named):
    with pytest.raises(ConfigError, match=f"^{named}=") as error:
        camvid(root, **options)
    assert "\n" not in str(error.value)


def test_a_batch_that_cannot_be_shared_names_all_three_settings(root):
    assert micro_batch(24, 3, 4) == 2
    with pytest.raises(
        ConfigError, match=r"batch_size.*trainer\.devices.*trainer\.accumulate_grad_batches.*6"
    ):
        camvid(root, trainer(world=3, accumulate=2)).train_dataloader()
    with pytest.raises(ConfigError, match=r"trainer\.max_steps"):
        camvid(root, trainer(steps=-1)).train_dataloader()


def test_collate_stacks_without_changing_a_value():
    rng = np.random.default_rng(0)
    samples = [
        Sample(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8), np.full((5, 7), n, np.uint8), f"s{n}")
        for n in range(3)
    ]
    batch = collate(samples)
    for n, sample in enumerate(samples):
        np.testing.assert_array_equal(batch["image"][n].permute(1, 2, 0).numpy(), sample.image)
        assert (batch["label"][n] == n).all()
    assert batch["image"].is_contiguous()


def test_collate_names_samples_of_different_sizes():
    samples = [Sample(np.zeros((n, 4, 3), np.uint8), np.zeros((n, 4), np.uint8), f"s{n}") for n in (4, 5)]
    with pytest.raises(DataError, match=r"s4, s5.*augment"):
        collate(samples)


def test_ids_are_not_python_objects_and_overlaps_are_named():
    train, val = (
        FileSplit(name, list(ids), [Path(id) for id in ids], None, plain(2), "x")
        for name, ids in (("train", "abc"), ("val", "cd"))
    )
    assert train.ids.dtype.kind == "U"
    with pytest.raises(DataError, match=r"share 1 of 2 ids \(c\)"):
        check_disjoint(train, val)
