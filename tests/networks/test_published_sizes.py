"""Parameters and multiply-accumulates of the papers' networks against experiments/counted.yaml."""

import pytest
import torch
import yaml

from segsweep.builders import build_segmenter
from segsweep.config.groups import root
from segsweep.networks.heads.aspp import AtrousPyramid
from segsweep.networks.heads.ksac import SharedPyramid
from segsweep.profiling.network import printed
from tests.networks.counting import gmacs, parameters
from tests.shared import shared
from tests.support.composing import composed, configuration

ROWS = yaml.safe_load((root() / "experiments" / "counted.yaml").read_text())["rows"]
NAMES = [row["name"] for row in ROWS]


@pytest.fixture(scope="module")
def hydra():
    with configuration():
        yield


def network(config, auxiliary=False):
    overrides = [f"{key}={value}" for key, value in config.items()]
    with torch.device("meta"):
        return build_segmenter(composed(*overrides).config, load_weights=False, auxiliary=auxiliary)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_networks_have_their_counted_size(row, hydra):
    """Half a percent: the counted figures are rounded."""
    built = network(row["config"])
    assert parameters(built) / 1e6 == pytest.approx(row["params_m"], rel=0.005)
    if row["gmacs"] is not None:
        assert gmacs(built, row["size"]) == pytest.approx(row["gmacs"], rel=0.005)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_what_is_not_the_published_size_says_why(row):
    for counted, name in (("params_m", "params"), ("gmacs", "gflops")):
        published = printed(row)[name]
        if row[counted] is not None and published is not None and row["discrepancy"] is None:
            assert row[counted] == pytest.approx(published, rel=0.025)


def test_the_published_figures_are_the_papers():
    """Every size that a paper measured itself stands in a row, with the figure that the paper prints."""
    papers = yaml.safe_load(shared("papers/published.yaml").read_text())
    tables = [("ksac", "table1"), ("atonet", "table3"), *(("dual_aspp", f"table{n}") for n in (1, 2, 4))]
    in_papers = [(paper, row) for paper, table in tables for row in papers[paper][table]]
    in_papers += [("atonet", row) for row in papers["atonet"]["table1"] if row.get("ours")]
    have = {key: [printed(row)[key] for row in ROWS] for key in ("params", "gflops")}
    for _, row in in_papers:
        for key, figures in have.items():
            # Table 2 prints 45.6 for the network that has 45.7 in Table 1.
            if key in row and row[key] != 45.6:
                assert row[key] in figures, row


@pytest.mark.parametrize("choice", ["atonet", "aspp"])
def test_auxiliary_losses_cost_nothing_that_predicts(choice, hydra):
    config = {"backbone": "resnet18", "backbone.output_stride": 32, "head": choice, "num_classes": 19}
    plain = network(config)
    tapped = network(config | {"head.aux": [3, 4]}, auxiliary=True)
    stripped = network(config | {"head.aux": [3, 4], "head.aux_weights": [1, 2]})
    assert parameters(plain) == parameters(stripped) == parameters(tapped) - parameters(tapped.head.auxiliary)
    size = (128, 128)
    assert gmacs(plain, size) == gmacs(stripped, size) == gmacs(tapped, size)
    # 3×3 convolution, BatchNorm, 1×1 with bias: 256→128 and 512→128, to 19 classes.
    branches = [c * 128 * 9 + 2 * 128 + 128 * 19 + 19 for c in (256, 512)]
    assert parameters(tapped.head.auxiliary) == sum(branches)


def test_a_longer_rate_list_costs_no_convolution_parameters():
    def conv_parameters(rates):
        return sum(p.numel() for p in SharedPyramid(32, 16, rates, "sum").parameters() if p.dim() == 4)

    assert conv_parameters((6, 12, 18)) == conv_parameters((1, 6, 12, 18, 24))


def test_sharing_saves_62_percent_as_section_3_2_counts():
    """(27 + 2 − 9 − 2) / (27 + 2) products of C_in·C_out: branches and both 1×1 layers, projection aside."""
    channels, width = 320, 256

    def branches(pyramid):
        outside = sum(p.numel() for p in pyramid.project.parameters())
        norms = sum(p.numel() for p in pyramid.parameters() if p.dim() == 1) - sum(
            p.numel() for p in pyramid.project.parameters() if p.dim() == 1
        )
        return parameters(pyramid) - outside - norms

    aspp = branches(AtrousPyramid(channels, width, (6, 12, 18), separable=False))
    ksac = branches(SharedPyramid(channels, width, (6, 12, 18), "sum"))
    assert aspp == 29 * channels * width
    assert ksac == 11 * channels * width
    assert round(100 * (aspp - ksac) / aspp) == 62
