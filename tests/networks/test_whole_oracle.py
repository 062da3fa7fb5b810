"""Whole networks against pytorchcv's, with weights copied across: equal counts, equal outputs.

Where the two designs differ, the oracle is given the paper's, as said beside it.
"""

from collections.abc import Callable

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn

from segsweep.builders import build_segmenter
from segsweep.networks.whole.whole_network import WholeNetwork
from tests.support.composing import member

CLASSES = 19


def as_it_is(oracle: nn.Module) -> None:
    """The same design."""


def pool_2x2(oracle: nn.Module) -> None:
    """ENet pools windows that do not overlap; the oracle's shortcuts pool 3×3 windows that do."""
    for module in oracle.modules():
        if hasattr(module, "ext_channels"):
            module.pool = nn.MaxPool2d(2, 2, return_indices=True)


ORACLES: dict[str, tuple[str, int, Callable[[nn.Module], None]]] = {
    "enet": ("enet_cityscapes", 358_060, pool_2x2),
    "segnet": ("segnet_cityscapes", 29_453_971, as_it_is),
}


def of_both(name: str) -> tuple[WholeNetwork, nn.Module]:
    """Our network and the oracle, in evaluation mode, with weights and statistics at random."""
    torch.manual_seed(0)
    ours = build_segmenter(member(f"network={name}", f"num_classes={CLASSES}").config)
    oracle = get_model(ORACLES[name][0], pretrained=False)
    for module in oracle.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    ORACLES[name][2](oracle)
    return ours.eval(), oracle.eval()


@pytest.mark.parametrize("name", ORACLES)
def test_outputs_are_the_oracles(name):
    """Tensors are matched by their order, which follows the data through both networks."""
    ours, oracle = of_both(name)
    own = {key: value for key, value in ours.state_dict().items() if key not in ("mean", "std")}
    theirs = list(oracle.state_dict().values())
    assert [value.shape for value in own.values()] == [value.shape for value in theirs]
    assert sum(p.numel() for p in ours.parameters()) == ORACLES[name][1]
    ours.load_state_dict(dict(zip(own, theirs, strict=True)), strict=False)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = oracle(image)
        assert expected.std() > 1e-3
        torch.testing.assert_close(
            ours.maps(image), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
        )
