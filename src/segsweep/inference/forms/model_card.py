"""A network's model card: README.md of a hub folder, metadata in the Hub's YAML and text for people.

The metadata follow the Hub's model-index (huggingface/hub-docs, modelcard.md): a result for each dataset and
split, a metric for each test. The text is in model_card.md.j2.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from segsweep.inference.description import Description, TestResult

TEMPLATE = "model_card.md.j2"
TASK = {"type": "image-segmentation", "name": "Semantic segmentation"}
UNSTATED = "terms-of-data-and-initial-weights"
UNKNOWN = "not known to segsweep, so whoever publishes this must state them"


def model_card(what: Description) -> str:
    """Return the text of README.md."""
    environment = Environment(
        loader=PackageLoader("segsweep.inference.forms", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"percent": _percent, "numbers": _numbers}
    versions = ", ".join(f"{name} {version}" for name, version in what.packages.items() if version)
    noun = next((test.groups.noun for test in what.tests.values() if test.groups), None)
    over_seeds = {name: test.over_seeds for name, test in what.tests.items() if test.over_seeds}
    metadata = yaml.safe_dump(_metadata(what), sort_keys=False, allow_unicode=True, width=110)
    template = environment.get_template(TEMPLATE)
    return template.render(
        what=what, metadata=metadata, versions=versions, unknown=UNKNOWN, noun=noun, over_seeds=over_seeds
    )


def _metadata(what: Description) -> dict[str, Any]:
    return {
        "library_name": "segsweep",
        "pipeline_tag": "image-segmentation",
        **_licence(what.weights.licence),
        "tags": ["semantic-segmentation", "pytorch", *what.name.split("-")],
        "metrics": ["mean_iou"],
        "model-index": [{"name": what.name, "results": list(_results(what))}],
    }


def _licence(given: str | None) -> dict[str, str]:
    """Return the Hub's fields; it knows licences by names in lower case, and any other one as `other`."""
    if given and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", given):
        return {"license": given}
    return {"license": "other", "license_name": given or UNSTATED, "license_link": "README.md"}


def _results(what: Description) -> Iterator[dict[str, Any]]:
    """Yield the results of the model-index."""
    tests = [(name, test) for name, test in what.tests.items() if test.metrics.miou is not None]
    tests.sort(key=lambda named: _split(named[1]))
    for (dataset, split, split_hash), some in groupby(tests, key=lambda named: _split(named[1])):
        yield {
            "task": TASK,
            "dataset": {"name": dataset, "type": dataset, "split": split, "args": {"split_hash": split_hash}},
            "metrics": [_metric(what, name, test) for name, test in some],
        }


def _split(test: TestResult) -> tuple[str, str, str]:
    return test.protocol.dataset, test.protocol.split, test.protocol.split_hash


def _metric(what: Description, name: str, test: TestResult) -> dict[str, Any]:
    interval = None if test.low is None else [test.low, test.high]
    seeds = test.over_seeds
    return {
        "type": "mean_iou",
        "name": f"mIoU, {name}",
        "value": test.metrics.miou,
        "args": {
            "strategy": test.protocol.strategy.plain(),
            "images": test.protocol.images,
            "interval_95": interval,
            "interval_95_over_groups": test.groups.plain() if test.groups else None,
            "checkpoint": test.protocol.checkpoint.which,
            "selection": what.weights.rule,
            "seed": what.seed,
            "seeds": list(seeds.seeds) if seeds else [what.seed],
            **({"over_seeds": seeds.plain()} if seeds else {}),
        },
    }


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
