"""Folded networks against themselves: in float64 the same logits, with as few BatchNorms as expected."""

import copy

import pytest
import torch
from torch import nn

from segsweep.builders import build_segmenter
from segsweep.config.groups import choices
from segsweep.networks import EncoderHead, Segmenter
from segsweep.networks.folding import fold, folded
from tests.support.composing import composed, configuration

SMALL = "backbone=mobilenetv3_small backbone.output_stride=16"


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with configuration():
        yield


def with_statistics(network: nn.Module) -> nn.Module:
    """As after training: BatchNorms that do something."""
    torch.manual_seed(0)
    for norm in norms(network):
        for values in (norm.running_mean, norm.weight, norm.bias):
            nn.init.uniform_(values, -1, 2)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return network.double().eval()


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def built(words: str) -> Segmenter:
    return with_statistics(build_segmenter(composed(*words.split(), "num_classes=3").config))


@torch.no_grad()
def check_same(network: nn.Module, size: tuple[int, int] = (65, 97)) -> nn.Module:
    found = copy.deepcopy(network)
    fold(found)
    image = 255 * torch.rand(1, 3, *size, dtype=torch.float64)
    call = (lambda one: one.logits(image)) if isinstance(network, Segmenter) else lambda one: one(image)
    torch.testing.assert_close(call(found), call(network), rtol=1e-9, atol=1e-9)
    return found


@pytest.mark.parametrize(
    ("words", "left"),
    # KSAC's rates have a BatchNorm each after one product, image pooling has one of its own.
    [(f"head=ksac {SMALL}", 4), (f"head=none {SMALL}", 0), ("network=icnet", 0), ("network=espnet", 18)],
)
def test_networks_give_the_same_logits_with_few_batch_norms(words, left):
    assert len(norms(check_same(built(words)))) == left


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [f"head={name} {SMALL}" for name in choices("head")] + [f"network={name}" for name in choices("network")],
)
def test_every_network_gives_the_same_logits(words):
    check_same(built(words))


class Block(nn.Module):
    """A convolution and a BatchNorm, and what a forward pass makes of them."""

    def __init__(self, forward, **options) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3, **options)
        self.forward = lambda x: forward(self, x)


def plain(self, x):
    return self.norm(self.conv(x))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.norm(self.conv(x)) + self.norm(x),
        lambda self, x: self.norm(self.conv(self.conv(x))),
        lambda self, x: (y := self.conv(x)) * self.norm(y),
        lambda self, x: self.norm(self.conv(x)) * self.conv.weight.sum(),
        lambda self, x: self.norm(self.conv(x)) * self.norm.running_var.sum(),
        lambda self, x: self.norm(torch.relu(self.conv(x))),
    ],
)
def test_layers_that_are_used_otherwise_too_are_left(forward):
    assert len(norms(check_same(with_statistics(Block(forward))))) == 1


def test_layers_of_two_names_are_left():
    block = Block(lambda self, x: self.norm(self.again(x)))
    block.again = block.conv
    assert len(norms(check_same(with_statistics(block)))) == 1


def test_a_hook_is_given_what_it_was_given():
    block, seen = with_statistics(Block(plain)), []
    block.conv.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    check_same(block)
    assert torch.equal(*seen)


def test_statistics_of_the_batch_are_left():
    block = Block(plain, track_running_stats=False).double().eval()
    assert len(norms(check_same(block))) == 1


def test_the_network_itself_stays_as_it_is():
    network = built(f"head=none {SMALL}").float().train()
    before = copy.deepcopy(network.state_dict())
    found = folded(network)
    assert network.training
    assert not found.training
    assert norms(found) == []
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


class LooksInside(EncoderHead):
    """A network of one's own that applies a part of a sequence."""

    def logits(self, image):
        return super().logits(image) + self.own[1](image).mean()


def test_a_network_that_would_not_be_the_same_is_given_back():
    network = built(f"head=none {SMALL}").float()
    block = Block(plain)
    nn.init.uniform_(block.norm.running_mean, 1, 2)
    network.own, network.__class__ = nn.Sequential(block.conv, block.norm), LooksInside
    assert folded(network) is network


def test_what_is_not_known_as_modules_is_given_back():
    program = object()
    assert folded(program) is program
