"""The test pass: every image once, at its full size, under all strategies, into counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from segsweep.data.loading import Loader, runs_of_equals, start_worker
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.errors import DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.histogram import truth_of
from segsweep.evaluation.predictor import Map, NetworkAt, OtherAt, Predictions, Predictor
from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.views import centre

OnImage = Callable[[Sample, Mapping[str, Map]], None]


def evaluate(
    network_at: NetworkAt,
    samples: SplitDataset,
    strategies: Iterable[Strategy],
    num_classes: int,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    on_image: OnImage | None = None,
    indices: Sequence[int] | None = None,
    batch_size: int = 1,
    other_at: OtherAt | None = None,
) -> dict[str, Counts]:
    """Count each strategy's right and wrong pixels over the samples.

    Args:
        network_at: gives the segmenter at an output stride (None: its own), called once for each.
        samples: images [H, W, 3] with labels [H, W] of the same size.
        strategies: views that they have in common are computed once.
        num_classes: K of the labels and of the segmenter.
        device: the device on which the network runs.
        num_workers: processes that read samples ahead.
        on_image: called with each sample and its predictions uint8 [H, W] by strategy name.
        indices: the samples to evaluate, for a rank `range(rank, len(samples), world_size)`; None for all.
        batch_size: how many successive images of one size the network is given together. Which images keep
            an image company may change its scores by rounding; with 1 they never do.
        other_at: gives another run's segmenter, by its id and output stride, for ensembles.

    Returns:
        Counts by strategy name, in the strategies' order; use `Counts.merge` on those of several ranks.

    Raises:
        ConfigError: two strategies have one name, or the segmenter has another number of classes.
        DataError: a sample's label is not of its image's size or holds a value that is not a class.
    """
    predictor = Predictor(network_at, strategies, num_classes, device, other_at)
    counts = {name: Counts(num_classes) for name in predictor.views}
    chosen = range(len(samples)) if indices is None else indices
    with predictor.in_evaluation_mode():
        for batch, predictions in _predicted(predictor, _loader(samples, chosen, num_workers), batch_size):
            for sample, maps in zip(batch, predictions.maps(), strict=True):
                _count(counts, predictor, sample, maps)
                if on_image is not None:
                    on_image(sample, maps)
    return counts


def _count(
    counts: Mapping[str, Counts], predictor: Predictor, sample: Sample, maps: Mapping[str, Map]
) -> None:
    """Count a sample's predictions; the part that a strategy sees counts as if it were the image."""
    height, width = sample.label.shape
    for crop in predictor.crops:
        seen = centre((height, width), crop)
        label = sample.label[seen]
        truth = truth_of(label, predictor.num_classes)
        for name in (name for name, views in predictor.views.items() if views[0].crop == crop):
            counts[name].update(sample.id, maps[name][seen], label, truth)


def _predicted(
    predictor: Predictor, samples: Iterable[Sample], batch_size: int
) -> Iterator[tuple[list[Sample], Predictions]]:
    """Yield batches with their predictions; on a GPU, while those of the next one are computed."""
    last: tuple[list[Sample], Predictions] | None = None
    for batch in runs_of_equals(map(_checked, samples), batch_size, lambda sample: sample.image.shape):
        now = batch, predictor.predict([sample.image for sample in batch])
        if last is not None:
            yield last
        last = now
    if last is not None:
        yield last


def _checked(sample: Sample) -> Sample:
    image, label = sample.image.shape[:2], sample.label.shape
    if image != label:
        raise DataError(
            sample.id,
            f"image of {image} and label of {label} [H, W]: expected one size",
            "figures are of whole images at their labels' resolution",
        )
    return sample


def _loader(samples: SplitDataset, indices: Sequence[int], num_workers: int) -> Iterable[Sample]:
    as_it_is: Any = _as_it_is  # typed for lists of samples, called with one if there are no batches
    loader: Any = Loader(
        samples,
        batch_size=None,
        sampler=list(indices),
        num_workers=num_workers,
        collate_fn=as_it_is,
        worker_init_fn=start_worker,
        # A generator of its own: evaluation must not change the random state of the process.
        generator=torch.Generator(),
    )
    return loader  # type: ignore[no-any-return]


def _as_it_is(sample: Sample) -> Sample:
    return sample
