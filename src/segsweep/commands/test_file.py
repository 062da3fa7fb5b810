"""`segsweep test FILE`: measure an exported network."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segsweep import builders
from segsweep.commands.options import parse, split
from segsweep.commands.output import print_rows
from segsweep.config.path_options import all_path_options
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, UserError
from segsweep.evaluation.protocol import Test
from segsweep.execution import trust
from segsweep.inference.description import Description, TestResult
from segsweep.inference.forms.known_forms import FORMS
from segsweep.inference.load import load
from segsweep.inference.measuring import Measuring
from segsweep.planning import by_id
from segsweep.planning.compose import Request
from segsweep.planning.plan import resolve
from segsweep.planning.stages import group_of
from segsweep.runs.layout import is_run
from segsweep.runs.tested import test_suffix
from segsweep.terminal import percent, progress_bar

DEFAULTS = {"out": None, "device": None, "trust": False}
STRATEGY = "segsweep.evaluation.strategies.Strategy"


def test_file(words: Sequence[str], arguments: Sequence[str]) -> int:
    """Test the exported network that is named, print its figures beside its run's; return the exit status."""
    if len(words) > 1:
        raise ConfigError(f"segsweep test {' '.join(words)}: expected ids of runs, or one exported file")
    file = Path(words[0])
    if is_run(file):
        raise ConfigError(f"{file} is a run: segsweep test {file.name} runs_dir={file.parent}")
    own, others = split(arguments, DEFAULTS)
    asked = parse(own, DEFAULTS)
    trained = load(file, asked["device"], trust=asked["trust"])
    form = next(form.name for form in FORMS if form.is_at(file))
    config = configuration(trained.description, others)
    if "test" not in map(group_of, others):
        config = with_tests_of_run(config, trained.description)
    if not asked["trust"]:
        named = {"dataset": config.dataset, "test": config.test}
        trust.check_named(named, file.parent, file, by_id.named_classes(others))
    with progress_bar("test") as on_progress:
        measured = Measuring(trained, form, file, config).do(
            Path(asked["out"] or file.with_name(f"{file.name}.tests")), on_progress
        )
    of_run = tests_of_run(config, trained.description)
    rows = [row(name, test, of_run.get(test.card.strategy.name)) for name, test in measured.items()]
    print_rows(rows, "table", title=str(file))
    return 0


def configuration(description: Description, arguments: Sequence[str]) -> RunConfig:
    """Return what the arguments ask for, on the dataset that a network was trained on unless they say more.

    Its options are those of the run; where it lies is the command's to say.
    """
    given = {argument.partition("=")[0].lstrip("+") for argument in arguments}
    height, width = description.size
    of_run = [f"num_classes={description.num_classes}", f"size=[{height},{width}]"]
    if "dataset" not in given:
        of_run += [f"dataset={description.choices['dataset']}", *filter(is_about_data, description.overrides)]
    kept = [one for one in of_run if one.partition("=")[0].lstrip("+") not in given]
    settings = Request("test", [*kept, *arguments]).settings
    return RunConfig.of(resolve(settings))


def is_about_data(override: str) -> bool:
    """Whether an override of the run is an option of its dataset, and not a folder of its machine."""
    group, _, option = override.partition("=")[0].lstrip("+").partition(".")
    return group == "dataset" and bool(option) and option not in all_path_options()


def tests_of_run(config: RunConfig, description: Description) -> dict[str, TestResult]:
    """Return the tests that the run had on the split that is asked for, by their strategies' names."""
    suffix = test_suffix(
        config.changed(checkpoint={**config["checkpoint"], "test": description.weights.checkpoint})
    )
    tests = {test.protocol.strategy.name: (name, test) for name, test in description.tests.items()}
    return {strategy: test for strategy, (name, test) in tests.items() if name == strategy + suffix}


def with_tests_of_run(config: RunConfig, description: Description) -> RunConfig:
    """Return the configuration with the tests that the run had, if it had some on this split.

    Raises:
        ConfigError: one of them cannot be made of its settings, as its class is not segsweep's.
    """
    cards = [test.protocol.strategy for test in tests_of_run(config, description).values()]
    nodes = {card.name: {"_target_": STRATEGY, **card.plain()} for card in cards}
    for node in nodes.values():
        del node["name"]
    config = config.changed(test=nodes) if nodes else config
    with suppress(UserError):
        if not nodes or builders.build_strategies(config).keys() == nodes.keys():
            return config
    raise ConfigError(
        f"{description.run}, which the file was made from, was tested by a strategy of one's own "
        f"({', '.join(nodes)}), which the file does not hold; say what to measure by, as test=[single]"
    )


def row(name: str, test: Test, own: TestResult | None) -> dict[str, object]:
    """Return a test's figures in %, beside those of the run's own test."""
    of_run = own.metrics.miou if own else None
    found = test.metrics.miou
    apart = None if found is None or of_run is None else f"{100 * (found - of_run):+.4f}"
    return {
        "test": name,
        "miou %": percent(found),
        "run's miou %": percent(of_run),
        "points apart": apart,
        "pixel_accuracy %": percent(test.metrics.pixel_accuracy),
        "images": test.metrics.images,
    }
