"""What a run's folder has to show to its logger: figures with intervals, tests, pictures, weights.

Everything is read from the files, so that a run which is tested again later shows all its tests.
"""

import logging
from collections.abc import Iterator, Mapping

import numpy as np

from segsweep.errors import DamagedFileError, DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.predictions import IMAGE, TRUTH, picture_folder, read_picture
from segsweep.runs import layout
from segsweep.runs.contents import Metrics
from segsweep.runs.folder import RunFolder
from segsweep.runs.lineage import source
from segsweep.statistics.figures import FIGURES, miou
from segsweep.statistics.intervals import class_estimates, estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import resampling
from segsweep.training.results import Evaluation, Picture, Results, Weights

log = logging.getLogger("segsweep")

MOST_PICTURES = 8


def read_results(folder: RunFolder) -> Results:
    """Return what a trained run has to show; a test with damaged files is left out, with a warning."""
    status, tests = folder.status(), dict(_tests(folder))
    figures = {"val_miou": status.val_miou, "best_val_miou": status.best_miou, "params": status.params}
    evaluations = []
    for name, (metrics, counts) in tests.items():
        bounds, evaluation = _evaluation(name, metrics, counts)
        own = {key: v for key, v in metrics.plain().items() if isinstance(v, int | float)}
        figures |= {f"test/{name}/{key}": value for key, value in {**own, **bounds}.items()}
        evaluations.append(evaluation)
    parent = source(folder)
    return Results(
        figures={name: value for name, value in figures.items() if value is not None},
        evaluations=tuple(evaluations),
        pictures=tuple(_pictures(folder, {name: counts for name, (_, counts) in tests.items()})),
        weights=_weights(folder),
        parent=None if parent is None else _weights(RunFolder(folder.path.parent / parent)),
    )


def _tests(folder: RunFolder) -> Iterator[tuple[str, tuple[Metrics, Counts]]]:
    for name, (metrics, _) in folder.read_tests().items():
        try:
            yield name, (metrics, Counts.load(folder.tests / name))
        except DataError as error:
            log.warning(f"left out: {error}")


def _evaluation(name: str, metrics: Metrics, counts: Counts) -> tuple[dict[str, float], Evaluation]:
    """Return the ends of the figures' 95 % intervals over images, and what a test has of each class."""
    if len(counts) < 2:  # nothing to resample
        return {}, Evaluation(name, metrics.per_class, counts.confusion)
    measured, drawn = Measured(("",), counts.by_name().rows[None]), resampling(len(counts))
    bounds = {
        f"{key}_{end}": value
        for key in FIGURES
        for found in [estimate(measured, drawn, key)]
        for end, value in (("low", found.low), ("high", found.high))
        if not np.isnan(value)
    }
    classes = {
        label: {"iou": own["iou"], "low": _number(found.low), "high": _number(found.high), **own}
        for (label, own), found in zip(
            metrics.per_class.items(), class_estimates(measured, drawn), strict=True
        )
    }
    return bounds, Evaluation(name, classes, counts.confusion)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _pictures(folder: RunFolder, tests: Mapping[str, Counts]) -> Iterator[Picture]:
    """Yield the test images that were kept, with each test's prediction and mIoU of the image alone."""
    pictures = folder.path / layout.PICTURES
    rows = {
        name: dict(zip((picture_folder(pictures, id) for id in counts.ids), counts.rows, strict=True))
        for name, counts in tests.items()
    }
    for place in sorted(pictures.glob("*/"))[:MOST_PICTURES]:
        files = {name: file for name in (TRUTH, *tests) if (file := place / f"{name}.png").exists()}
        figures = {
            f"miou {name}": float(miou(rows[name][place]))
            for name in files
            if name in rows and place in rows[name]
        }
        try:
            image, _ = read_picture(place / IMAGE)
            maps = {name: read_picture(file)[0] for name, file in files.items()}
        except DamagedFileError as error:
            log.warning(f"left out: {error}")
            continue
        yield Picture(place.name, image, maps, figures)


def _weights(folder: RunFolder) -> Weights | None:
    file = folder.checkpoints / layout.LAST
    return Weights(folder.id, file) if file.is_file() else None
