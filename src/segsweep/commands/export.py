"""`segsweep export`: a trained network in a form that other programs read."""

from collections.abc import Sequence
from pathlib import Path

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.errors import ConfigError, OptionError
from segsweep.runs.folder import all_runs

HELP = """usage: segsweep export RUN format=NAME [out=PATH] [key=value ...]

Write a trained network in a form that is used without its run. RUN is a run's folder, its id or the beginning
of it, or a network that was exported before.

formats
  onnx          a graph for ONNX Runtime, TensorRT, OpenVINO and others (NAME.onnx;
                needs pip install 'segsweep[onnx]')
  torch_export  torch's recorded program, for torch.export.load without segsweep (NAME.pt2)
  aoti          compiled for this machine's processor, for Python or C++; needs g++ (NAME.pt2)
  torchscript   a trace for torch.jit.load, which torch has deprecated (NAME.ts)
  hub           a folder for the Hugging Face Hub: safetensors, config.json and a model card, which has the
                figures over seeds too if the run's folder lies beside runs with other seeds

The first four take images of any number, height and width, RGB, and give logits at the image's size.
Each is compared with torch on images of the run's dataset, on odd sizes and in batches, before it gets its
name; a file that computes something else is not written. Classes, palette, normalisation, protocol cards and
figures are in its metadata. segsweep predict FILE uses it, and segsweep test FILE measures it.

options
  format=onnx            see above
  out=PATH               what is written; default: exports/NAME-RUN, with the form's suffix
  preprocessing=inside   the file takes pixels, 0..255, and normalises them itself; described: it takes
                         (pixel − mean) / std, which are in its metadata
  input=float32          the type of pixels; uint8: as images are decoded
  output=logits          labels: the file gives the class of each pixel, uint8; segsweep predict and test
                         need logits
  checkpoint=last        the run's last or best weights; default: those that it tests
  licence=NAME           of the trained weights, such as cc-by-nc-4.0: nobody but you can say it; it stands in
                         the metadata, beside the terms of the data
  runs_dir=runs          where runs are looked up by id
  trust=false            true: build any class that the run names, not only segsweep's and yours

examples
  segsweep export 3f9c2a
  segsweep export 3f9c2a format=torch_export preprocessing=described out=network.pt2
  segsweep export 3f9c2a format=hub out=ksac-camvid
"""
DEFAULTS = {
    "format": "onnx", "out": None, "preprocessing": "inside", "input": "float32", "output": "logits",
    "checkpoint": None, "licence": None, "runs_dir": RUNS_DIR, "trust": False,
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Export a network; return the exit status."""
    words, asked = parse_words(arguments, DEFAULTS)
    if len(words) != 1:
        raise ConfigError("segsweep export: expected one run; segsweep runs lists them")
    # Imported here: help needs no torch.
    from segsweep.inference.forms.form import Wishes
    from segsweep.inference.forms.known_forms import by_name
    from segsweep.inference.load import load, run_of

    forms = by_name()
    if asked["format"] not in forms:
        raise OptionError("format", asked["format"], near=forms)
    form = forms[asked["format"]]
    wishes = Wishes(asked["preprocessing"], asked["input"], asked["output"])
    form.check(wishes)
    places = {"runs_dir": asked["runs_dir"], "checkpoint": asked["checkpoint"]}
    trained = load(words[0], "cpu", **places, trust=asked["trust"])
    what = trained.description
    if (run := run_of(words[0], asked["runs_dir"])) is not None:
        from segsweep.reports.findings.over_seeds import over_seeds

        what = what.beside(over_seeds(run, all_runs(run.path.parent), what.tests))
    trained.description = what = what.licensed(asked["licence"]) if asked["licence"] else what
    target = Path(asked["out"] or f"exports/{what.name}-{what.run}{form.suffix}").expanduser()
    form.write(trained, target, wishes)
    print(target)
    return 0
