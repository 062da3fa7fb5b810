"""Images that a run's network was made for, to try it on."""

import numpy as np
from numpy.typing import NDArray

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.errors import UserError

MOST = 2


def example_images(config: RunConfig) -> list[NDArray[np.uint8]]:
    """Return the first images [H, W, 3] of a run's test split; none if the dataset is not there."""
    try:
        dataset = builders.build_dataset(config)
        samples = dataset.split(config.split or dataset.test_split)
        return [samples[index].image for index in range(min(MOST, len(samples)))]
    except UserError:
        return []
