"""The papers' figures: maps and pictures against computations by hand, whole files, errors in one line."""

import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image
from torch.nn import functional as F

from segsweep import builders, cli
from segsweep.config.groups import root
from segsweep.profiling import latency
from segsweep.reports.paper_figures import atonet_fig3, canvas, drawing
from segsweep.reports.paper_figures.ksac_fig5 import most_varied
from segsweep.reports.pictures.feature_maps import maps_by_rate
from segsweep.reports.pictures.trained_run import TrainedRun
from segsweep.runs.folder import RunFolder
from tests.support.inside import weights


@pytest.fixture(scope="module")
def opened(heads) -> dict[str, TrainedRun]:
    return {name: TrainedRun(run) for name, run in heads.items()}


def drawn(name: str, *runs: TrainedRun, images: tuple[str, ...] = ()) -> Figure:
    with canvas.style():
        return drawing.drawn(drawing.find(name), [[one] for one in runs], images)


def pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def coarsest(run: RunFolder, image: np.ndarray) -> torch.Tensor:
    network = builders.build_segmenter(run.config(), load_weights=False)
    network.load_state_dict(weights(run))
    with torch.no_grad():
        return network.eval().features(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[-1]


def normalised(x: torch.Tensor, tensors: dict[str, torch.Tensor], prefix: str) -> np.ndarray:
    """BatchNorm by its formula, and ReLU."""
    mean, var, scale, shift = (
        tensors[f"{prefix}.{name}"].view(-1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return np.maximum(0, ((x[0] - mean) / (var + 1e-5).sqrt() * scale + shift).numpy())


@pytest.mark.parametrize(
    ("head", "rates", "kernel", "norm"),
    [
        ("ksac", (1, 3), "head.context.shared.kernel", "head.context.shared.norms.{}"),
        ("aspp", (1, 2), "head.context.atrous.{}.0.weight", "head.context.atrous.{}.1"),
    ],
)
def test_maps_of_each_rate_are_those_of_its_convolution(heads, opened, head, rates, kernel, norm):
    image, tensors = opened[head].sample("2").image, weights(heads[head])
    x = coarsest(heads[head], image)
    found = maps_by_rate(opened[head], image)
    assert tuple(found) == rates
    for index, rate in enumerate(rates):
        y = F.conv2d(x, tensors[kernel.format(index)], padding=rate, dilation=rate)
        np.testing.assert_allclose(found[rate], normalised(y, tensors, norm.format(index)), atol=1e-5)


def test_ksac_fig5_shows_a_block_for_each_rate_of_either_head(opened):
    figure = drawn("ksac.fig5", opened["ksac"], opened["aspp"])
    image, *blocks = pictures(figure)
    np.testing.assert_array_equal(image, opened["ksac"].samples[0].image)
    assert [axes.get_title() for axes in figure.axes if axes.images][1:] == [
        "ksac, rate 1", "aspp, rate 1", "aspp, rate 2", "ksac, rate 3"
    ]  # fmt: skip
    assert "aspp has no rate 3" in {text.get_text() for axes in figure.axes for text in axes.texts}
    maps = maps_by_rate(opened["ksac"], image)[1]
    deviations = [float(one.std()) for one in maps]
    shown = sorted(sorted(range(30), key=lambda c: -deviations[c])[:25])
    np.testing.assert_array_equal(most_varied(maps, 25), maps[shown])
    height, width = maps.shape[1:]
    for place, channel in enumerate(shown):
        top, left = place // 5 * (height + 1), place % 5 * (width + 1)
        one = blocks[0][top : top + height, left : left + width]
        np.testing.assert_allclose(one, maps[channel] / (maps[channel].max() or 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "wanted"), [("ksac.fig6", ("aspp", "ksac")), ("dual_aspp.fig5", ("dual_aspp",))]
)
def test_rows_of_predictions_have_the_palette_s_colours(opened, name, wanted):
    runs = [opened[head] for head in wanted]
    found = pictures(drawn(name, *runs, images=("4", "1")))
    colours = {**dict(enumerate(runs[0].dataset.palette)), 255: (224, 224, 192)}
    for row, index in enumerate((4, 1)):
        sample = runs[0].samples[index]
        image, *maps = found[row * (2 + len(runs)) : (row + 1) * (2 + len(runs))]
        np.testing.assert_array_equal(image, sample.image)
        for shown, label in zip(maps, [sample.label, *(r.predict(sample.image) for r in runs)], strict=True):
            assert [tuple(p) for p in shown.reshape(-1, 3)] == [colours[int(k)] for k in label.flat]


def test_dual_aspp_fig4_shows_the_logits_of_each_class(opened, heads):
    found = pictures(drawn("dual_aspp.fig4", opened["aspp"], opened["dual_aspp"], images=("1",)))
    assert len(found) == 12
    for head, maps in (("aspp", found[:6]), ("dual_aspp", found[6:])):
        network = builders.build_segmenter(heads[head].config(), load_weights=False)
        network.load_state_dict(weights(heads[head]))
        image = opened[head].sample("1").image
        with torch.no_grad():
            pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
            expected = network.eval()(pixels)[0]
        up = F.interpolate(torch.from_numpy(np.stack(maps))[None], image.shape[:2], mode="bilinear")[0]
        torch.testing.assert_close(up, expected, atol=1e-4, rtol=1e-4)


def test_published_systems_are_those_of_the_tables():
    expected = []
    for file in sorted((root() / "experiments").glob("*/table*.yaml")):
        for row in (yaml.safe_load(file.read_text()).get("published") or {}).get("rows", []):
            if "fps" in row and "miou" in row:
                name = row.get("method", row.get("architecture", "")).replace("_", " ")
                expected.append((name, row["fps"], row["miou"]))
    found = [(point.name, point.fps, *point.mious) for point in atonet_fig3.published()]
    assert found == expected
    assert len(found) == 34


def test_seeds_of_a_configuration_are_one_point(opened, monkeypatch):
    monkeypatch.setattr(latency, "of_images", lambda networks: ([100.0, 50.0][: len(networks)], "here"))
    runs = [opened["ksac"], opened["aspp"]]
    points = atonet_fig3.measured(runs)
    assert [point.name.split()[0] for point in points] == ["ksac", "aspp"]
    assert [point.fps for point in points] == [10.0, 20.0]
    assert re.fullmatch(r"measured here \(shapes test at \d+×\d+; here\)", points[0].source)
    for point, one in zip(points, runs, strict=True):
        assert point.mious == (100 * one.run.read_tests()["single"][0].miou,)
    with canvas.style():
        figure = atonet_fig3.draw([runs], ())
        assert [axes.get_title() for axes in figure.axes] == ["Cityscapes", "CamVid", "shapes"]


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files_are_whole_and_the_same_each_time(opened, tmp_path, kind, start):
    contents = []
    for number in range(2):
        figure = drawn("dual_aspp.fig5", opened["aspp"], images=("0",))
        with canvas.style():
            canvas.save(figure, tmp_path / f"{number}.{kind}")
        contents.append((tmp_path / f"{number}.{kind}").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(start)
    assert not re.search(rb"CreationDate|<dc:date>|20\d\d-\d\d-\d\d", contents[0])
    if kind == "png":
        Image.open(BytesIO(contents[0])).verify()
    assert contents[0].rstrip().endswith({"svg": b"</svg>", "pdf": b"%%EOF", "png": b"IEND\xaeB`\x82"}[kind])


def test_the_command_draws_what_it_is_asked_for(heads, tmp_path, capsys):
    place = f"runs_dir={heads['ksac'].path.parent}"
    out = tmp_path / "new" / "maps.svg"
    assert (
        cli.run(["figure", "ksac.fig5", "head=ksac", heads["aspp"].id[:8], place, f"out={out}", "image=3"])
        == 0
    )
    assert capsys.readouterr().out == f"{out}\n"
    assert "aspp, rate 2" in out.read_text() or out.stat().st_size > 10_000


def test_each_figure_is_in_the_help(capsys):
    assert cli.run(["figure", "--help"]) == 0
    printed = capsys.readouterr().out
    names = {"ksac.fig5", "ksac.fig6", "atonet.fig3", "dual_aspp.fig4", "dual_aspp.fig5"}
    assert names == drawing.lines().keys()
    for name, line in drawing.lines().items():
        assert re.search(rf"  {re.escape(name)} +{re.escape(line)}\n", printed)
        assert {"RUNS", "IMAGES", "draw"} <= set(dir(drawing.find(name)))


MISTAKES = {
    "ksac.fig7 head=ksac": "ksac.fig7: no such figure; did you mean ksac.fig",
    "head=ksac": "figure: its name comes first; known: atonet.fig3",
    "ksac.fig5 head=ksac": "needs one run with head=ksac and one with head=aspp; found 0 runs for one",
    "ksac.fig5 head=ksac head=dual_aspp": "has head=dual_aspp",
    "ksac.fig5 head=ksac head=aspp out=x.jpg": "out=x.jpg: expected a file whose name ends in .png, .svg",
    "ksac.fig5 head=ksac head=aspp image=1,2": "image=1,2: expected a single image",
    "ksac.fig5 head=ksac head=aspp image=77": "image=77: expected an id of test, or a number from 0 to 5",
    "atonet.fig3 image=1": "image=1: expected none",
    "ksac.fig6 head=ksac head=nonsense": "head=nonsense: no run; head is aspp, dual_aspp",
    "ksac.fig6 abcdef": "abcdef: no run here has an id that begins so",
    "ksac.fig6 head=ksac head=aspp optimizer.lr=1 split=elsewhere": "optimizer.lr=1: no run",
    "ksac.fig6 head=ksac head=aspp split=elsewhere": "split=elsewhere: Shapes has no such split",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(heads, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["figure", *command.split(), f"runs_dir={heads['ksac'].path.parent}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert MISTAKES[command] in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_one_line(heads, tmp_path, capsys):
    for name in ("ksac", "aspp"):
        shutil.copytree(heads[name].path, tmp_path / heads[name].id)
    shutil.rmtree(tmp_path / heads["aspp"].id / "checkpoints")
    assert cli.run(["figure", "ksac.fig6", "head=ksac", "head=aspp", f"runs_dir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert "last.ckpt: the weights that checkpoint.test=last names are not there" in error
    RunFolder(tmp_path / heads["aspp"].id).update_status(state="interrupted")
    assert cli.run(["figure", "ksac.fig6", "head=ksac", "head=aspp", f"runs_dir={tmp_path}"]) == 2
    assert "is interrupted, not done: its training command goes on" in capsys.readouterr().err
    assert not list(Path.cwd().glob("ksac.fig6.*"))
