"""BatchNorm over ranks against torch's own on all images at once."""

from pathlib import Path

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from segsweep.networks.blocks import pooled_conv
from segsweep.training.sync_batchnorm import synchronise, synchronises
from tests.training.ranks import in_group

SHARES = (slice(0, 3), slice(3, 4))
"""Ranks with three images and with one."""


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    made: dict[str, nn.Module] = {
        "plain": nn.BatchNorm2d(5),
        "cumulative": nn.BatchNorm2d(5, momentum=None),
        "bare": nn.BatchNorm2d(5, affine=False, track_running_stats=False),
        "timm": BatchNormAct2d(5),
        "pooled": pooled_conv(5, 5),
        "frozen": nn.BatchNorm2d(5).eval(),
    }
    for module in made.values():
        module.double()
        for tensor in module.parameters():
            nn.init.uniform_(tensor, 0.5, 1.5)
    return made


def images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Values far from zero, and a gradient to send back."""
    torch.manual_seed(4)
    size = (1, 1) if name == "pooled" else (6, 7)
    x = 100 + torch.randn(4, 5, *size) * torch.rand(5, 1, 1)
    return x.double(), torch.randn(4, 5, *size).double()


def outcome(module: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two steps, then an evaluation."""
    x = x.clone().requires_grad_()
    module(x.detach() * 2)
    out = module(x)
    out.backward(gradient)
    found = {"out": out.detach(), "x": x.grad, **module.state_dict()}
    found |= {f"grad_{name}": p.grad for name, p in module.named_parameters()}
    found["evaluated"] = module.eval()(x).detach()
    return found


def on_a_rank(rank: int, place: Path) -> None:
    found = {}
    for name, module in layers().items():
        keys = list(module.state_dict())
        synchronise(module, on_gpu=False)
        assert list(module.state_dict()) == keys
        x, gradient = images(name)
        found[name] = outcome(module, x[SHARES[rank]], gradient[SHARES[rank]])
    torch.save(found, place / f"{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    in_group(on_a_rank, 2, place)
    return [torch.load(place / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", layers())
def test_two_ranks_are_one_batch(ranks, name):
    whole = outcome(layers()[name], *images(name))
    first, second = (rank[name] for rank in ranks)
    for key, expected in whole.items():
        if key in ("out", "x", "evaluated"):
            # Without statistics of its own a layer in evaluation takes those of its batch.
            if (name, key) != ("bare", "evaluated"):
                torch.testing.assert_close(torch.cat([first[key], second[key]]), expected)
        elif key.startswith("grad_"):
            torch.testing.assert_close(first[key] + second[key], expected)
        else:
            torch.testing.assert_close(first[key], expected)
            assert torch.equal(first[key], second[key])


def test_automatic_is_for_small_batches():
    assert [synchronises("auto", world, n) for world, n in ((1, 4), (2, 15), (2, 16))] == [False, True, False]
    assert [synchronises(True, world, 99) for world in (1, 2)] == [False, True]
    assert not synchronises(False, 2, 1)
