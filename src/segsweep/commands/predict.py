"""`segsweep predict`: a trained network on one's own images and videos."""

import logging
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.commands import options
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.failures import is_out_of_memory
from segsweep.files import locked
from segsweep.terminal import clock, mebibytes, plural, progress_bar

if TYPE_CHECKING:  # torch takes seconds to import, and help needs none
    from segsweep.evaluation.strategies import Strategy
    from segsweep.inference.predicting.inputs import Input
    from segsweep.inference.predicting.outputs import Outputs
    from segsweep.inference.predicting.predict import Prediction, Result
    from segsweep.inference.trained import Trained

HELP = """usage: segsweep predict RUN|FILE INPUT ... [key=value ...]

Predict images and videos with a trained network: a run by its id or folder, or what segsweep export wrote.
INPUT is an image, a video, a folder (all below it) or a quoted pattern: 'day1/**/*.jpg'.

outputs, below out=DIR
  masks/NAME.png        class indices with the dataset's palette, at the input's own size; of a video one for
                        each frame, NAME/000000.png …, as video codecs would change the indices
  overlays/             overlay=true: colours over the image (NAME.jpg) or video (NAME.mp4), with a legend
  probabilities/        probabilities=true: NAME.npz, `probabilities` uint8 [classes, height, width] in 255ths
  areas.csv             file, frame, class, pixels, share
  predictions.json      network, strategy, how inputs were understood, what could not be read

An input that cannot be read is reported in one line and left out. Exit status 0 if all were predicted, 1 if
some could not be read, 2 for a mistake in the command. The same command, given again, goes on where it
stopped: what is there is not made again, unless its input, the network, the strategy or an option differs.

options (with their defaults)
  out=DIR               default predictions/RUN/STRATEGY in the working folder
  overlay=false         write overlays too
  probabilities=false   write the probabilities of all classes too
  test=single           the strategy, as for segsweep test: single flip half ms ms_flip slide square
                        center_crop, or one of your own
  test.NAME.…           its options: scales flip window stride output_stride crop
  window=auto           images whose maps would take more than `memory` are seen through sliding windows, of
                        the largest size that fits; null: every image is seen as the strategy says
  memory=1              GiB for the network's maps
  batch_size=1          images of one size, or frames, that are given to the network together
  device=null           cpu, cuda or cuda:N; null: a GPU if there is one
  runs_dir=runs         where runs are looked up by id
  trust=false           true: build any class that a received run names

examples
  segsweep predict 3f9c2a photos/ overlay=true
  segsweep predict 3f9c2a drive.mp4 overlay=true test=flip out=drive
  segsweep predict network.onnx 'day1/*.jpg' 'day2/*.jpg' batch_size=8
"""

log = logging.getLogger("segsweep")
LOG_EVERY = 60.0
"""Seconds between two lines of progress."""
SHOWN = 3
"""Files that a line about many names."""
OPTION = re.compile(r"[\w.+]+=")
AUTO, LOCK = "auto", ".lock"
PREDICTIONS = Path("predictions")
DEFAULTS: Mapping[str, Any] = {
    "out": None, "overlay": False, "probabilities": False, "window": AUTO, "memory": 1, "batch_size": 1,
    "device": None, "runs_dir": options.RUNS_DIR, "trust": False,
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Predict what the arguments name; return the exit status."""
    words = [word for word in arguments if not OPTION.match(word) or Path(word).exists()]
    tests = [word for word in arguments if word not in words and re.match(r"test[.=]", word)]
    asked = _asked([word for word in arguments if word not in (*words, *tests)])
    if len(words) < 2:
        found = f"found only {words[0]}" if words else "found neither"
        raise ConfigError(f"predict RUN|FILE INPUT …: {found}; see segsweep predict --help")
    from segsweep.inference.load import load
    from segsweep.inference.predicting.inputs import find_inputs
    from segsweep.inference.predicting.outputs import Outputs

    inputs = find_inputs(words[1:], Path(asked["out"] or PREDICTIONS))
    trained = load(words[0], asked["device"], runs_dir=asked["runs_dir"], trust=asked["trust"])
    what = trained.description
    strategy = _strategy(tests, what.size)
    out = Path(asked["out"] or PREDICTIONS / what.run / strategy.name)
    palette = [(r, g, b) for r, g, b in what.palette]
    outputs = Outputs(out, what.classes, palette, asked["overlay"], asked["probabilities"])
    outputs.check_folder()
    with locked(out / LOCK, wait=False, places="out=…") as held:
        if not held:
            raise UserError(
                f"{out}: another process is predicting into it; wait for it, or give another out=…"
            )
        return _predict(words[0], trained, strategy, inputs, outputs, asked)


def _asked(arguments: Sequence[str]) -> dict[str, Any]:
    asked = options.parse(arguments, DEFAULTS)
    if asked["window"] not in (AUTO, "null"):
        remedy = "a window of your own is an option of the strategy: test.single.window=[512,512]"
        raise OptionError("window", asked["window"], "auto or null", remedy=remedy)
    memory, batch_size = asked["memory"], asked["batch_size"]
    if not isinstance(memory, int | float) or isinstance(memory, bool) or not 0 < memory < float("inf"):
        raise OptionError("memory", memory, "a positive number of GiB")
    if type(batch_size) is not int or batch_size < 1:
        raise OptionError("batch_size", batch_size, "a positive number of images")
    return {**asked, "device": None if asked["device"] == "null" else asked["device"]}


def _strategy(tests: Sequence[str], size: Sequence[int]) -> "Strategy":
    """Return the one strategy that `test=…` options choose, for a network trained on crops of `size`."""
    from segsweep import builders
    from segsweep.config.schema import RunConfig
    from segsweep.evaluation.strategies import Strategy
    from segsweep.planning.compose import Request
    from segsweep.planning.plan import resolve

    if not tests:
        return Strategy()
    settings = Request("predict", [*tests, f"size=[{size[0]},{size[1]}]"]).settings
    found = builders.build_strategies(RunConfig.of(resolve(settings)))
    if len(found) != 1:
        chosen = " and ".join(found) or "none"
        raise OptionError("test", problem=f"chooses {chosen}", expected="one strategy, as test=ms_flip")
    return next(iter(found.values()))


def _predict(
    word: str,
    trained: "Trained",
    strategy: "Strategy",
    inputs: "Sequence[Input]",
    outputs: "Outputs",
    asked: Mapping[str, Any],
) -> int:
    from segsweep.inference.predicting.labeller import Labeller
    from segsweep.inference.predicting.predict import Prediction, network_hash

    memory = asked["memory"] * 2**30 if asked["window"] == AUTO else None
    labeller = Labeller(trained, strategy, memory, asked["batch_size"])
    with _progress() as on_progress:
        work = Prediction(labeller, outputs, network_hash(trained, word), on_progress, log.warning)
        log.info(f"predicting {plural(len(inputs), 'input')} with {trained} into {outputs.folder}")
        result = _done(work, inputs)
        outputs.write_summary(
            {
                "network": {"given": word, "run": trained.description.run, "name": trained.description.name},
                **labeller.settings(),
                "notes": result.notes(),
                "failed": list(result.failed.values()),
            }
        )
    _report(result, outputs.folder)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    log.info(f"peak memory {mebibytes(peak)}")
    return 1 if result.failed else 0


def _done(work: "Prediction", inputs: "Sequence[Input]") -> "Result":
    try:
        return work.do(inputs)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        remedy = "lower memory=… or batch_size=…, or give device=cpu; the same command goes on"
        raise UserError(f"the device has too little memory: {remedy}") from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, else a log line a minute."""
    began = told = time.monotonic()
    with progress_bar("predict") as draw:

        def on_progress(done: int, total: int) -> None:
            nonlocal told
            draw(done, max(done, total))
            now = time.monotonic()
            if now - told >= LOG_EVERY and not sys.stderr.isatty():
                told = now
                left = clock((now - began) / done * max(0, total - done))
                log.info(f"predicted {done}/{max(done, total)} images and frames  {left} left")

        yield on_progress


def _report(result: "Result", out: Path) -> None:
    """Print what inputs were taken for, and what there is now."""
    for note, files in result.notes().items():
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        print(f"{', '.join(files[:SHOWN])}{more}: {note}")
    kept = f", {result.kept} were there already" if result.kept else ""
    failed = f"; {plural(len(result.failed), 'input')} could not be read" if result.failed else ""
    print(f"{out}: {result.made} images and frames predicted{kept}{failed}")
