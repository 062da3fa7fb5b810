"""DFANet, of 42 blocks in a row, learns from random weights: its gradients do not grow with depth."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from segsweep.builders import build_segmenter
from segsweep.networks.whole.whole_network import WholeNetwork
from tests.support.composing import member

CLASSES = 5
DFANETS = ["network=dfanet", "network=dfanet network.variant=b"]


def build(network: str) -> WholeNetwork:
    torch.manual_seed(0)
    return build_segmenter(member(*network.split(), f"num_classes={CLASSES}").config).train()


def batch(size: int, images: int = 4) -> tuple[Tensor, Tensor]:
    """Smooth random images, and labels of squares of 16 pixels."""
    generator = torch.Generator().manual_seed(1)
    rough = torch.randint(0, 256, (images, 3, 8, 8), generator=generator).float()
    squares = torch.randint(0, CLASSES, (images, size // 16, size // 16), generator=generator)
    labels = squares.repeat_interleave(16, 1).repeat_interleave(16, 2)
    return interpolate(rough, size=(size, size), mode="bilinear"), labels


def loss(network: WholeNetwork, image: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(network.forward_train(image)[0], labels)


def norm(module: torch.nn.Module) -> float:
    return float(torch.stack([p.grad.norm() for p in module.parameters()]).norm())


def first_gradients(name: str, size: int) -> WholeNetwork:
    network = build(name)
    loss(network, *batch(size)).backward()
    return network


@pytest.mark.parametrize("size", [64, 128])
def test_the_first_gradients_are_those_of_other_light_networks(size):
    """At 64 the coarsest map is a single cell, and BatchNorm sees four values of a channel."""
    usual = max(norm(first_gradients(f"network={name}", size)) for name in ("erfnet", "enet"))
    for name in DFANETS:
        network = first_gradients(name, size)
        assert norm(network) < 2 * usual
        first, *_, last = (norm(backbone) for backbone in network.backbones)
        assert first < 10 * last


def test_twenty_steps_on_small_crops_bring_the_loss_down():
    network = build(DFANETS[0])
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    losses = []
    for _ in range(20):
        step = loss(network, *batch(64))
        optimizer.zero_grad()
        step.backward()
        optimizer.step()
        losses.append(float(step.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_every_block_learns_after_the_first_step():
    """A branch starts at zero: its last BatchNorm learns first, and all that stands before it after that."""
    network = build(DFANETS[0])
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        loss(network, *batch(64)).backward()
        optimizer.step()
    still = [name for name, p in network.named_parameters() if not p.grad.any()]
    assert still == []
