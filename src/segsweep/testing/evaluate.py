"""One pass over a split: every view that any strategy wants, once; every strategy's counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from segsweep.data.loading import Loader
from segsweep.data.sample import Sample
from segsweep.testing.counts import Counts
from segsweep.testing.strategies import Strategy, View

NetworkAt = Callable[[int | None], nn.Module]
Predictions = dict[str, NDArray[np.uint8]]


def evaluate(
    network_at: NetworkAt,
    samples: Dataset[Sample],
    strategies: Sequence[Strategy],
    num_classes: int,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    indices: Sequence[int] | None = None,
    on_image: Callable[[Sample, Predictions], None] | None = None,
) -> dict[str, Counts]:
    """Counts by strategy name over all samples, or over those of `indices` (a process's share).

    `network_at(output_stride)` gives the segmenter at an output stride, None for its own. Images are taken
    whole and one by one, so a result depends neither on batch size nor on which strategies run beside it.
    """
    counts = {strategy.name: Counts(num_classes) for strategy in strategies}
    networks = {stride: _ready(network_at(stride), device) for stride in _output_strides(strategies)}
    for sample in _load(samples, num_workers, indices):
        predictions = predict(networks, sample.image, strategies, device)
        for name, prediction in predictions.items():
            counts[name].update(sample.id, prediction, sample.label)
        if on_image is not None:
            on_image(sample, predictions)
    return counts


@torch.inference_mode()
def predict(
    networks: Mapping[int | None, nn.Module],
    image: NDArray[np.uint8],
    strategies: Sequence[Strategy],
    device: torch.device | str,
) -> Predictions:
    """Class indices uint8 [H, W] of an image [H, W, 3] by strategy name.

    Strategies that contain one another share their views: each view is computed once and added to every
    strategy that has it. Views come in one fixed order, so that sums do not depend on the company.
    """
    tensor = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float()
    views = {strategy.name: set(strategy.views()) for strategy in strategies}
    sums: dict[str, Tensor] = {}
    found: Predictions = {}
    for view in sorted(set().union(*views.values())):
        wanting = [name for name, own in views.items() if view in own]
        alone = [name for name in wanting if len(views[name]) == 1]
        logits = view.logits(networks[view.output_stride], tensor)
        # The largest probability is the largest logit: a strategy of one view needs no softmax.
        found |= dict.fromkeys(alone, _classes(logits)) if alone else {}
        if len(wanting) > len(alone):
            _add(sums, [name for name in wanting if name not in alone], logits.softmax(1))
    return {name: found[name] if name in found else _classes(sums[name]) for name in views}


def _add(sums: dict[str, Tensor], names: Sequence[str], probabilities: Tensor) -> None:
    for name in names:
        if name in sums:
            sums[name] += probabilities
        else:
            # The first strategy may keep the tensor itself; the others need their own.
            sums[name] = probabilities if name == names[-1] else probabilities.clone()


def _classes(scores: Tensor) -> NDArray[np.uint8]:
    """The class of the highest score of each pixel, uint8 [H, W]; the first of equals."""
    return np.asarray(scores[0].argmax(0).to(torch.uint8).cpu().numpy())


def _output_strides(strategies: Sequence[Strategy]) -> list[int | None]:
    views: list[View] = [view for strategy in strategies for view in strategy.views()]
    return list(dict.fromkeys(view.output_stride for view in views))


def _ready(network: nn.Module, device: torch.device | str) -> nn.Module:
    return network.to(device).eval()


def _load(samples: Dataset[Sample], num_workers: int, indices: Sequence[int] | None) -> Iterator[Sample]:
    chosen: Any = samples if indices is None else Subset(samples, indices)
    # Without batches and with the identity for collation, samples keep their numpy arrays.
    as_it_is: Any = Sample._make
    yield from cast(
        Iterator[Sample], Loader(chosen, batch_size=None, num_workers=num_workers, collate_fn=as_it_is)
    )
