"""The test pass: every image once, at its full size, under all strategies, into counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.data.loading import Loader, start_worker
from segsweep.data.sample import Sample
from segsweep.errors import ConfigError, DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.predictor import Predictor, largest
from segsweep.evaluation.strategies import Strategy

OnImage = Callable[[Sample, Mapping[str, NDArray[np.uint8]]], None]
Progress = Callable[[int, int], None]


class Samples(Protocol):
    """A map-style data set of samples."""

    def __getitem__(self, index: int, /) -> Sample:
        """Sample at an index."""

    def __len__(self) -> int:
        """Number of samples."""


def evaluate(
    network_at: Callable[[int | None], nn.Module],
    samples: Samples,
    strategies: Iterable[Strategy],
    num_classes: int,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    on_image: OnImage | None = None,
    progress: Progress | None = None,
    indices: Sequence[int] | None = None,
) -> dict[str, Counts]:
    """Count each strategy's right and wrong pixels over the samples.

    Args:
        network_at: gives the segmenter at an output stride (None: its own), called once for each.
        samples: images [H, W, 3] with labels [H, W] of the same size.
        strategies: views that they have in common are computed once.
        num_classes: K of the labels and of the segmenter.
        device: on which the network runs.
        num_workers: processes that read samples ahead.
        on_image: called with each sample and its predictions uint8 [H, W] by strategy name.
        progress: called with (images done, images in all) after each.
        indices: the samples to test, for a rank `range(rank, len(samples), world_size)`; none: all.

    Returns:
        Counts by strategy name, in the strategies' order; `Counts.merge` those of several ranks.

    Raises:
        ConfigError: the strategies' names are not different or the segmenter has other classes.
        DataError: a sample's label is of another size than its image or holds what is no class.
    """
    predictor = Predictor(network_at, strategies, device)
    counts = {name: Counts(num_classes) for name in predictor.views}
    chosen = range(len(samples)) if indices is None else indices
    with predictor.testing():
        for done, sample in enumerate(_loader(samples, chosen, num_workers), 1):
            _check_sizes(sample)
            predictions = _predictions(predictor, sample, num_classes)
            for name, prediction in predictions.items():
                counts[name].update(sample.id, prediction, sample.label)
            if on_image is not None:
                on_image(sample, predictions)
            if progress is not None:
                progress(done, len(chosen))
    return counts


def _loader(samples: Samples, indices: Sequence[int], num_workers: int) -> Iterable[Any]:
    dataset: Any = samples
    as_it_is: Any = _as_it_is  # typed for lists of samples, called with one where there are no batches
    return Loader(
        dataset,
        batch_size=None,
        sampler=list(indices),
        num_workers=num_workers,
        collate_fn=as_it_is,
        worker_init_fn=start_worker,
        # A generator of its own: testing must not move the random state of a training that it interrupts.
        generator=torch.Generator(),
    )


def _as_it_is(sample: Sample) -> Sample:
    return sample


def _check_sizes(sample: Sample) -> None:
    image, label = sample.image.shape[:2], sample.label.shape
    if image != label:
        raise DataError(
            sample.id,
            f"image of {image} and label of {label} [H, W]: expected one size",
            "figures are of whole images at their labels' resolution",
        )


def _predictions(predictor: Predictor, sample: Sample, num_classes: int) -> dict[str, NDArray[np.uint8]]:
    """Each strategy's prediction of one sample, once the segmenter is known to have the labels' classes."""
    predictions = {}
    for name, scores in predictor.scores(sample.image):
        if scores.shape[1] != num_classes:
            raise ConfigError(
                f"num_classes: the network gives {scores.shape[1]} classes, the data set has {num_classes}: "
                "test a network on the classes that it was trained for"
            )
        predictions[name] = largest(scores[0])
    return predictions
