"""`segsweep export`: a trained network in a form that other programs read."""

from collections.abc import Sequence
from pathlib import Path

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.errors import ConfigError, OptionError

HELP = """usage: segsweep export RUN format=NAME [out=PATH] [key=value ...]

Write a trained network in a form that is used without its run. RUN is a run's folder, its id or the beginning
of it, or a network that was exported before.

options
  format=NAME            hub: a folder for the Hugging Face Hub: safetensors, config.json and a model card
  out=PATH               what is written; default: exports/NAME-RUN, with the form's suffix
  runs_dir=runs          where runs are looked up by id
  trust=false            true: build any class that the run names, not only segsweep's and yours

examples
  segsweep export 3f9c2a format=hub out=ksac-camvid
"""
DEFAULTS = {"format": None, "out": None, "runs_dir": RUNS_DIR, "trust": False}


def main(arguments: Sequence[str]) -> int:
    """Export a network; return the exit status."""
    words, asked = parse_words(arguments, DEFAULTS)
    if len(words) != 1:
        raise ConfigError("segsweep export: expected one run; segsweep runs lists them")
    # Imported here: help needs no torch.
    from segsweep.inference.forms.known_forms import by_name
    from segsweep.inference.load import load

    forms = by_name()
    if asked["format"] not in forms:
        raise OptionError("format", asked["format"], near=forms)
    form = forms[asked["format"]]
    trained = load(words[0], "cpu", runs_dir=asked["runs_dir"], trust=asked["trust"])
    what = trained.description
    target = Path(asked["out"] or f"exports/{what.name}-{what.run}{form.suffix}").expanduser()
    form.write(trained, target)
    print(target)
    return 0
