"""Images a second and core of decoding, augmenting and collating, against torchvision's reference pipeline.

    python -m benchmarks.data --camvid DIR [--images 32] [--seconds 2]

Two kinds of files: CamVid's 480x360 JPEGs, and 2048x1024 PNGs like Cityscapes', made of CamVid's frames in a
temporary folder (enlarged, with as much noise as makes them 2.4 MB). One process, one thread. Wanted: at
least twice the reference's images per second. Beside it the time of each of our steps.
"""

import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import RandomCrop
from torchvision.transforms import functional as F

from benchmarks.report import parser, report
from benchmarks.timing import interleaved
from segsweep.data.augment import Augment
from segsweep.data.cache import cached
from segsweep.data.labels import plain
from segsweep.data.loading import TrainingView, collate
from segsweep.data.sample import Sample, read_image
from segsweep.data.split import FileSplit, SplitDataset

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 8


class Reference:
    """The training preset of torchvision's references/segmentation, as it does it on Pillow images.

    Its steps: resize the shorter side to 0.5 to 2 times its own (antialiased; label nearest), flip half,
    pad and crop, to tensors (label int64), to float, normalise; batches are filled sample by sample.
    """

    def __init__(self, split: FileSplit, size: tuple[int, int]) -> None:
        self.split, self.size = split, size

    def __call__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = zip(*(self.sample(index) for index in indices), strict=True)
        batch = torch.zeros(len(images), 3, *self.size)
        target = torch.full((len(labels), *self.size), 255, dtype=torch.int64)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            batch[i].copy_(image)
            target[i].copy_(label)
        return batch, target

    def sample(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(str(self.split.images[index])).convert("RGB")
        label = Image.open(str(self.split.labels[index]))
        side = min(image.size)
        side = random.randint(side // 2, side * 2)
        image = F.resize(image, [side], antialias=True)
        label = F.resize(label, [side], interpolation=F.InterpolationMode.NEAREST)
        if random.random() < 0.5:
            image, label = F.hflip(image), F.hflip(label)
        width, height = image.size
        below, right = max(0, self.size[0] - height), max(0, self.size[1] - width)
        if below or right:
            image = F.pad(image, [0, 0, right, below], fill=0)
            label = F.pad(label, [0, 0, right, below], fill=255)
        place = RandomCrop.get_params(image, self.size)
        tensor = F.pil_to_tensor(F.crop(image, *place))
        target = torch.as_tensor(np.array(F.crop(label, *place)), dtype=torch.int64)
        return F.normalize(F.convert_image_dtype(tensor, torch.float), MEAN, STD), target


class Ours:
    """What a worker of segsweep's training loader does; the network normalises, on its device."""

    def __init__(self, split: SplitDataset, size: tuple[int, int]) -> None:
        self.view = TrainingView(split, Augment(size), seed=0)
        self.epoch = 0

    def __call__(self, indices: list[int]) -> object:
        self.epoch += 1
        return collate([self.view[self.epoch, index] for index in indices])


def camvid_like(root: Path) -> FileSplit:
    """CamVid's training frames."""
    stems = (root / "train.txt").read_text().split()
    images, labels = (
        [root / "train" / f"{s}.jpg" for s in stems],
        [root / "trainannot" / f"{s}.png" for s in stems],
    )
    return FileSplit("train", stems, images, labels, plain(11), root)


def cityscapes_like(camvid: FileSplit, folder: Path, count: int) -> FileSplit:
    """`count` frames of CamVid enlarged to 2048x1024, with sensor-like noise, as PNGs of about 2.4 MB."""
    rng = np.random.default_rng(0)
    ids, images, labels = [], [], []
    for index in range(0, len(camvid), max(1, len(camvid) // count))[:count]:
        sample = camvid[index]
        image = cv2.resize(sample.image, (2048, 1024), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        image += cv2.GaussianBlur(rng.standard_normal(image.shape, dtype=np.float32), (0, 0), 0.6) * 1.3
        label = cv2.resize(sample.label, (2048, 1024), interpolation=cv2.INTER_NEAREST)
        ids.append(sample.id)
        for files, suffix, array in ((images, "image", image), (labels, "label", label)):
            files.append(folder / f"{sample.id}_{suffix}.png")
            Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(files[-1])
    return FileSplit("train", ids, images, labels, plain(11), folder)


def batches(pipeline: Callable[[list[int]], object], indices: list[int]) -> None:
    for first in range(0, len(indices), BATCH):
        pipeline(indices[first : first + BATCH])


class Stopwatch:
    """Adds up the seconds of each named step, divided by the images."""

    def __init__(self, images: int) -> None:
        self.images, self.spent = images, {}

    def __call__(self, name: str, work: Callable[[], list]) -> list:
        start = time.perf_counter()
        result = work()
        self.spent[name] = (time.perf_counter() - start) / self.images
        return result


def steps(split: FileSplit, size: tuple[int, int], indices: list[int]) -> dict[str, float]:
    """Seconds an image of each of our steps, one after the other."""
    augment, timed = Augment(size), Stopwatch(len(indices))
    images = timed("decode image", lambda: [read_image(str(split.images[i])) for i in indices])
    labels = timed("decode label", lambda: [split.label_format.read(str(split.labels[i])) for i in indices])
    samples = [Sample(image, label, "") for image, label in zip(images, labels, strict=True)]
    done = timed("augment", lambda: [augment(s, 0, 1, i) for i, s in enumerate(samples)])
    timed("collate", lambda: [collate(done[i : i + BATCH]) for i in range(0, len(done), BATCH)])
    return timed.spent


def compare(split: FileSplit, size: tuple[int, int], indices: list[int], span: float) -> tuple[list, list]:
    """Rows of the pipelines over the same files, and of our steps."""
    reference = "torchvision's reference"
    with tempfile.TemporaryDirectory() as folder:
        pipelines = {
            reference: Reference(split, size),
            "segsweep": Ours(split, size),
            "segsweep, dataset.cache": Ours(cached(split, Path(folder), workers=0), size),
        }
        calls = {who: partial(batches, pipeline, indices) for who, pipeline in pipelines.items()}
        times = interleaved(calls, seconds=span)
    rows = [
        {
            "pipeline": who,
            "ms an image": 1000 * times.median(who) / len(indices),
            "images a second, against the reference": times.ratio(reference, who),
            "wanted": "≥ 2" if who == "segsweep" else "",
        }
        for who in pipelines
    ]
    parts = [steps(split, size, indices) for _ in range(times.rounds)]
    return rows, [
        {"step": step, "ms an image": 1000 * median(part[step] for part in parts)} for step in parts[0]
    ]


def main() -> None:
    options = parser(__doc__, "data")
    options.add_argument(
        "--camvid", type=Path, required=True, help="folder with train.txt, train, trainannot"
    )
    options.add_argument("--images", type=int, default=32)
    options.add_argument("--seconds", type=float, default=2, help="for each pipeline")
    asked = options.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    random.seed(0)
    camvid = camvid_like(asked.camvid)
    indices = list(range(0, len(camvid), len(camvid) // asked.images))[: asked.images]
    tables = {}
    title = "CamVid, JPEG 480×360, crops of 320×320"
    tables[title], tables[f"steps, {title}"] = compare(camvid, (320, 320), indices, asked.seconds)
    with tempfile.TemporaryDirectory() as folder:
        large = cityscapes_like(camvid, Path(folder), min(asked.images, 16))
        title = "like Cityscapes, PNG 2048×1024, crops of 768×768"
        several = list(range(len(large)))
        tables[title], tables[f"steps, {title}"] = compare(large, (768, 768), several, asked.seconds)
    report(asked, tables)


if __name__ == "__main__":
    main()
