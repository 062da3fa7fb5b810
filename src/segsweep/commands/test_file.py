"""`segsweep test FILE`: measure an exported network."""

from collections.abc import Sequence
from pathlib import Path

from segsweep.commands.options import parse, split
from segsweep.commands.output import print_rows
from segsweep.config.path_options import all_path_options
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError
from segsweep.evaluation.protocol import Test
from segsweep.execution import trust
from segsweep.inference.description import Description
from segsweep.inference.forms.known_forms import FORMS
from segsweep.inference.load import load
from segsweep.inference.measuring import Measuring
from segsweep.planning import by_id
from segsweep.planning.compose import Request
from segsweep.planning.plan import resolve
from segsweep.runs.layout import is_run
from segsweep.terminal import percent, progress_bar

DEFAULTS = {"out": None, "device": None, "trust": False}


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
    if not asked["trust"]:
        named = {"dataset": config.dataset, "test": config.test}
        trust.check_named(named, file.parent, file, by_id.named_classes(others))
    with progress_bar("test") as on_progress:
        measured = Measuring(trained, form, file, config).do(
            Path(asked["out"] or file.with_name(f"{file.name}.tests")), on_progress
        )
    print_rows([row(trained.description, *test) for test in measured.items()], "table", title=str(file))
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


def row(description: Description, name: str, test: Test) -> dict[str, object]:
    """Return a test's figures in %, beside those of the run's test of this name."""
    own = description.tests.get(name)
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
