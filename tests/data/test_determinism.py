"""The same (seed, epoch) gives the same tensors: with any workers, after a resume, over ranks, and cached."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from segsweep.data.augment import Augment
from segsweep.data.datamodule import DataModule, StreamBatchSampler
from segsweep.data.labels import plain
from segsweep.data.loading import Loader, TrainingView, collate
from segsweep.data.sampling import ClassUniform, RepeatFactor, Shuffle
from segsweep.data.sets.camvid import CamVid
from segsweep.data.split import FileSplit
from segsweep.errors import ConfigError
from tests.data.writers import write_camvid

KINDS = {
    "shuffle": {},
    "mixture": {"weights": (1.0, 3.0), "train_split": "trainval"},
    "repeat_factor": {"sampling": RepeatFactor(1.0)},
    "class_uniform": {"sampling": ClassUniform(0.5)},
}
STEPS = 9


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    # Four blocks an image: classes are in some images and not in others.
    return write_camvid(tmp_path_factory.mktemp("camvid"), train=7, val=3, size=(16, 16))


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def batches(root, kind, step=0, rank=0, world=1, **options):
    settings = {**KINDS[kind], **options}
    weights = settings.pop("weights", None)
    own = {key: settings.pop(key) for key in ("train_split", "cache") if key in settings}
    dataset = CamVid(root=root, **own)
    dataset.weights = weights
    data = DataModule(dataset, size=24, batch_size=4, augment=Augment(24), seed=3, **settings)
    data.trainer = SimpleNamespace(
        global_step=step, max_steps=STEPS, global_rank=rank, world_size=world, accumulate_grad_batches=1
    )
    return list(data.train_dataloader())


def same(a, b) -> bool:
    return a["id"] == b["id"] and torch.equal(a["image"], b["image"]) and torch.equal(a["label"], b["label"])


# Said of machines with fewer cores than workers.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_workers_a_resume_and_the_cache_change_nothing(root, tmp_path, kind):
    alone = batches(root, kind)
    assert len(alone) == STEPS, "four to five epochs"
    for workers in (1, 2, 4):
        assert all(same(a, b) for a, b in zip(alone, batches(root, kind, num_workers=workers), strict=True))
    rest = batches(root, kind, step=4, num_workers=2)
    assert all(same(a, b) for a, b in zip(alone[4:], rest, strict=True))
    for workers in (0, 2):
        fast = batches(root, kind, cache=tmp_path / "cache", num_workers=workers)
        assert all(same(a, b) for a, b in zip(alone, fast, strict=True))
    assert list((tmp_path / "cache").glob("*/samples.bin"))


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_share_the_batches_of_one_also_after_a_resume(root, tmp_path, kind):
    alone = batches(root, kind)
    for step, options in ((0, {}), (5, {"cache": tmp_path / "cache", "num_workers": 1})):
        ranks = [batches(root, kind, step=step, rank=rank, world=2, **options) for rank in (0, 1)]
        for whole, first, second in zip(alone[step:], *ranks, strict=True):
            assert whole["id"] == first["id"] + second["id"]
            assert torch.equal(whole["image"], torch.cat([first["image"], second["image"]]))
            assert torch.equal(whole["label"], torch.cat([first["label"], second["label"]]))


def test_kinds_of_sampling_do_draw_differently(root):
    drawn = {kind: [name for batch in batches(root, kind) for name in batch["id"]] for kind in KINDS}
    assert len({tuple(names) for names in drawn.values()}) == len(KINDS)
    first = drawn["mixture"][:10]
    assert sum(name.startswith("val") for name in first) == 8, "a share of 3/4 of 10, rounded"


def test_a_sample_that_comes_twice_in_an_epoch_is_augmented_in_two_ways(root):
    data = batches(root, "mixture")
    epoch = [
        (name, image) for batch in data for name, image in zip(batch["id"], batch["image"], strict=True)
    ][:10]
    seen = {}
    for name, image in epoch:
        assert not any(torch.equal(image, other) for other in seen.get(name, []))
        seen.setdefault(name, []).append(image)
    assert max(map(len, seen.values())) > 1


def test_weights_and_a_sampling_axis_exclude_each_other(root):
    dataset = CamVid(root=root)
    dataset.weights = (1.0, 3.0)
    with pytest.raises(ConfigError, match=r"^sampling: .*dataset\.weights"):
        DataModule(dataset, size=24, batch_size=4, sampling=ClassUniform(0.5))


def private_megabytes(pid: int) -> float:
    """Memory that a process shares with no other."""
    with Path(f"/proc/{pid}/smaps_rollup").open() as file:
        lines = dict(line.split(":", 1) for line in file if line.startswith("Private"))
    return sum(int(value.split()[0]) for value in lines.values()) / 1024


def worker_memory(root, samples: int) -> list[tuple[float, float]]:
    """Megabytes of each of two workers half-way through and after 4,000 draws from a split of long names."""
    image, label = root / "train" / "train_0000.jpg", root / "trainannot" / "train_0000.png"
    depth = "/." * 900  # names of 1.8 kB
    images, labels = (
        [f"{image.parent}{depth}/{image.name}"] * samples,
        [f"{label.parent}{depth}/{label.name}"] * samples,
    )
    split = FileSplit("train", [f"s{n:05d}" for n in range(samples)], images, labels, plain(11), root)
    sampler = StreamBatchSampler(Shuffle(samples, 0), batch=20, total=200)
    view = TrainingView(split, Augment(24), 0)
    loader = Loader(view, batch_sampler=sampler, num_workers=2, persistent_workers=True, collate_fn=collate)
    early = []
    for number, _ in enumerate(loader):
        if number == 100:
            early = [private_megabytes(worker.pid) for worker in loader._iterator._workers]
    late = [private_megabytes(worker.pid) for worker in loader._iterator._workers]
    return list(zip(early, late, strict=True))


def test_workers_share_the_names_of_a_large_split_and_do_not_grow(root):
    # Python strings would be copied page by page as reference counts change: measured so, 9 MB more.
    large, small = worker_memory(root, 5_000), worker_memory(root, 20)
    for early, late in large:
        assert late - early < 4
    assert max(late for _, late in large) - max(late for _, late in small) < 4
