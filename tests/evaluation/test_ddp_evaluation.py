"""Testing by several ranks over gloo: what one process writes, byte for byte, and one error for all."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep import builders
from segsweep.distributed.ranks import Ranks
from segsweep.evaluation.protocol import read_test
from segsweep.networks import Segmenter
from segsweep.planning.plan import write
from segsweep.runs.folder import RunFolder
from segsweep.runs.layout import LAST
from segsweep.training.checkpoint_files import AtomicCheckpointIO
from tests.data.writers_voc import write_voc
from tests.evaluation.rank import outcome
from tests.shared import shared
from tests.support.commands import environment
from tests.support.composing import member
from tests.support.disks import mounted

NETWORK = (
    "backbone=mobilenetv3_small", "backbone.name=mobilenetv3_small_050",
    "head=aspp", "head.rates=[1,2]", "head.width=8", "size=48", "trainer.accelerator=cpu",
)  # fmt: skip
ROOT = Path(__file__).parents[2]
DAMAGED = "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg"
WRITTEN = ("tests", "predictions", "submissions", "pictures")


def trained(runs: Path, *overrides: str) -> RunFolder:
    """A run that is done, with weights that are random and still tell pixels apart."""
    run = member(*NETWORK, *overrides, f"runs_dir={runs}")
    folder = write(run)
    data = builders.build_dataset(run.config)
    image = data.split(run.config["split"] or data.test_split)[0].image
    state = {f"segmenter.{key}": value for key, value in network(run.config, image).state_dict().items()}
    AtomicCheckpointIO().save_checkpoint({"state_dict": state}, folder.checkpoints / LAST)
    folder.update_status(state="done", step=1)
    return folder


def network(config: dict[str, Any], image: NDArray[np.uint8]) -> Segmenter:
    """Random weights, normalised to an image [H, W, 3] and with logits of mean 0 on it."""
    torch.manual_seed(0)
    network = builders.build_segmenter(config, load_weights=False, auxiliary=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        network.train()(torch.cat([batch, batch.flip(3)]))
        classifier = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        assert classifier.bias is not None
        classifier.bias -= network.eval()(batch).mean((0, 2, 3))
    return network


def copied(folder: RunFolder, place: str) -> RunFolder:
    """The run, not yet tested, at another place."""
    target = folder.path.parent / place / folder.id
    shutil.copytree(folder.path, target)
    return RunFolder(target)


@contextmanager
def one_thread() -> Iterator[None]:
    """This process with one thread, as the ranks have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@contextmanager
def ranks(store: Path, orders: Sequence[tuple[int, RunFolder]]) -> Iterator[None]:
    """Three ranks, of which the first so many test each run; at the end of the block they are waited for."""
    command = [sys.executable, "-m", "tests.evaluation.rank", str(store)]
    command += [f"{world}={folder.path}" for world, folder in orders]
    started = [
        subprocess.Popen(
            command, env=environment(RANK=str(rank)), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for rank in range(3)
    ]
    try:
        yield
        for process in started:
            _, stderr = process.communicate(timeout=240)
            assert process.returncode == 0, stderr
    finally:
        for process in started:
            process.kill()
            process.communicate()


def content(folder: RunFolder) -> dict[str, bytes]:
    """All files that a test writes, hidden ones too, by their names in the run's folder."""
    files = (path for part in WRITTEN for path in (folder.path / part).rglob("*") if path.is_file())
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in files}


def said(folder: RunFolder) -> list[str]:
    """What the run came to on each rank that tested it."""
    return [path.read_text() for path in sorted(folder.path.glob("rank*.txt"))]


def voc(data: Path) -> tuple[str, str]:
    """Overrides for a fake VOC with five images to test on, and one whose truth is not public."""
    write_voc(data / "VOCdevkit", val=5, test=1)
    return "dataset=voc2012", f"data_dir={data}"


def whole(folder: Path) -> dict[str, RunFolder]:
    """Runs with nothing wrong, by name."""
    data = voc(folder / "data")
    return {
        "five": trained(folder / "five", *data, "test=[single,ms_flip]", "predictions=submission"),
        "hidden": trained(folder / "hidden", *data, "split=test", "num_workers=1"),
        "pngs": trained(folder / "pngs", "dataset.test_images=1", "test=[flip]", "predictions=png"),
    }


def broken(folder: Path) -> dict[str, RunFolder]:
    """Runs that cannot be tested, by name: an image is damaged that rank 1 reads, or the weights are lost."""
    data = voc(folder / "data")
    damaged = trained(folder / "damaged", *data, "predictions=png")
    image = folder / "data" / DAMAGED
    image.write_bytes(image.read_bytes()[:500])
    lost = copied(damaged, "lost")
    (lost.checkpoints / LAST).unlink()
    return {"damaged": damaged, "lost": lost}


@pytest.fixture(scope="module")
def tested(tmp_path_factory) -> Iterator[dict[str, dict[int, RunFolder]]]:
    """Runs tested by this process alone, by two and by three ranks: by name and number of processes."""
    folder = tmp_path_factory.mktemp("tested")
    wrong, right = broken(folder / "broken"), whole(folder)
    full, packing = (
        trained(folder / kind, *voc(folder / "data"), f"predictions={kind}") for kind in ("png", "submission")
    )
    found = {name: {1: run, 2: copied(run, "two")} for name, run in (wrong | right).items()}
    for name, run in right.items():
        found[name][3] = copied(run, "three")
    # On the first disk there is room for two of five PNGs; on the second for all five, but no archive.
    with mounted(full.path / "predictions", "8k") as disks, mounted(packing.path / "submissions", "24k"):
        if disks:
            found |= {"full": {2: full}, "packing": {2: packing}}
        # What fails comes first: were the ranks out of step after it, the others would fail too.
        order = sorted(found, key=lambda name: name in right)
        by_three = [(3, found[name][3]) for name in right]
        with one_thread(), ranks(folder / "store", [*by_three, *((2, found[name][2]) for name in order)]):
            for run in (wrong | right).values():
                (run.path / "rank.txt").write_text(outcome(run, Ranks()))
        yield found


def same_files(by_world: dict[int, RunFolder]) -> dict[str, bytes]:
    """The files of a run's tests, once they are known to be the same from each number of processes."""
    assert {world: said(run) for world, run in by_world.items()} == {n: ["tested"] * n for n in (1, 2, 3)}
    alone = content(by_world[1])
    for world in (2, 3):
        several = content(by_world[world])
        assert several.keys() == alone.keys()
        assert [name for name in alone if several[name] != alone[name]] == []
    return alone


@pytest.mark.slow
def test_the_real_camvid_by_one_two_and_three(tmp_path):
    """All 233 images at full size."""
    camvid = shared("data/camvid")
    run = trained(tmp_path / "camvid", "dataset=camvid", f"data_dir={camvid.parent}")
    by_world = {1: run, 2: copied(run, "two"), 3: copied(run, "three")}
    with one_thread(), ranks(tmp_path / "store", [(3, by_world[3]), (2, by_world[2])]):
        (run.path / "rank.txt").write_text(outcome(run, Ranks()))
    files = same_files(by_world)
    assert sum(name.startswith("pictures/") for name in files) == 4 * 3
    counts = read_test(by_world[3].tests / "single").counts
    assert counts.ids == (camvid / "test.txt").read_text().split()
    assert (counts.confusion.sum(0) > 0).sum() > 5, "a network that sees one class everywhere shows little"


def test_five_images_by_three_with_pyramid_and_archives(tested):
    files = same_files(tested["five"])
    assert {"submissions/single.tar", "submissions/ms_flip.tar"} <= files.keys()
    assert files["submissions/single.tar"] != files["submissions/ms_flip.tar"]
    assert len(read_test(tested["five"][3].tests / "ms_flip").counts) == 5


def test_one_image_by_two(tested):
    """With a rank, or two, that have nothing to test: figures, PNGs, and the archive of a hidden truth."""
    assert "submissions/single-test.tar" in same_files(tested["hidden"])
    files = same_files(tested["pngs"])
    assert len([name for name in files if name.startswith("predictions/flip/")]) == 1
    assert len(read_test(tested["pngs"][2].tests / "flip").counts) == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("damaged", rf"data: .*{DAMAGED}: cannot be read.*"),
        ("lost", rf"user's error: .*/{LAST}: the weights.*"),
    ],
)
def test_an_error_on_one_rank_is_the_error_of_all(tested, name, line):
    """In the words of one process, and with nothing left behind but pictures."""
    (alone,) = said(tested[name][1])
    assert re.fullmatch(line, alone)
    assert [told.replace("/two/", "/") for told in said(tested[name][2])] == [alone] * 2
    assert all(written.startswith("pictures/") for written in content(tested[name][2]))


@pytest.mark.parametrize(("name", "place"), [("full", "predictions"), ("packing", "submissions")])
def test_a_full_disk_is_told_on_all_ranks_and_by_its_class(tested, name, place):
    """Whether those that write images meet it, or rank 0 that packs them."""
    if name not in tested:
        pytest.skip("this machine does not let tests mount a disk")
    folder = tested[name][2]
    (line,) = set(said(folder))
    assert re.fullmatch(rf"disk: {folder.path}/{place}/single.* could not be written \(No space left.*", line)
    assert len(said(folder)) == 2
    assert list((folder.path / place).iterdir()) == [], "drafts are cleared away"


@pytest.mark.slow
def test_by_torchrun(tested):
    """Through the command, which runs with other ranks than trainer.devices names."""
    expected, folder = content(tested["five"][1]), copied(tested["five"][1], "torchrun")
    for part in WRITTEN:
        shutil.rmtree(folder.path / part, ignore_errors=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "segsweep", "execute", str(folder.path), "--no-train"]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    assert "testing on 5 images of val by 2 processes" in result.stderr
    assert content(folder) == expected
