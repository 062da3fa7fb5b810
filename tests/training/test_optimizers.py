"""Fused updates are torch's plain ones, also where a checkpoint was made by these and in another layout."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from segsweep.training import optimizers
from segsweep.training.optimizers import unfuse, with_schedule

OURS = {
    "sgd": lambda network: optimizers.sgd(network, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adamw": lambda network: optimizers.adamw(network, 0.1, weight_decay=0.01),
}
PLAIN = {
    "sgd": lambda groups: SGD(groups, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True, foreach=False),
    "adamw": lambda groups: AdamW(groups, 0.1, weight_decay=0.01, foreach=False),
}


class Network(nn.Module):
    """What optimizers ask of a segmenter, with dense, depthwise and 1×1 kernels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.BatchNorm2d(8)
        )
        self.encoder.has_pretrained_weights = False
        self.head = nn.Conv2d(8, 5, 1)

    def groups(self) -> list[list[nn.Parameter]]:
        """The parameters as ours are grouped."""
        return [list(self.head.parameters()), list(self.encoder.parameters())]


def train(network: Network, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        image = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network.head(network.encoder(image)).square().mean().backward()
        optimizer.step()


def scheduled(name: str, network: Network) -> torch.optim.Optimizer:
    return with_schedule(OURS[name], lambda optimizer, **run: {}, network)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OURS)
def test_a_plain_checkpoint_in_another_layout_goes_on_as_it_would(name):
    plain = Network()
    first = PLAIN[name]([{"params": group} for group in plain.groups()])
    train(plain, first, range(3))

    ours = Network().to(memory_format=torch.channels_last)
    optimizer = scheduled(name, ours)
    ours.load_state_dict(plain.state_dict())
    optimizer.load_state_dict(copy.deepcopy(first.state_dict()))
    assert all(group["fused"] for group in optimizer.param_groups)

    train(plain, first, range(3, 6))
    train(ours, optimizer, range(3, 6))
    for (key, value), other in zip(plain.state_dict().items(), ours.state_dict().values(), strict=True):
        torch.testing.assert_close(other, value, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", OURS)
def test_a_fused_checkpoint_goes_on_to_the_same_bits(name):
    whole, part, rest = (Network().to(memory_format=torch.channels_last) for _ in range(3))
    train(whole, scheduled(name, whole), range(4))
    before, after = scheduled(name, part), scheduled(name, rest)
    train(part, before, range(2))
    rest.load_state_dict(part.state_dict())
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    train(rest, after, range(2, 4))
    for value, other in zip(whole.state_dict().values(), rest.state_dict().values(), strict=True):
        assert torch.equal(value, other)


def test_an_optimizer_can_be_told_not_to_fuse():
    network = Network()
    optimizer = OURS["adamw"](network)
    unfuse(optimizer)
    train(network, optimizer, range(1))
    assert not any(group["fused"] for group in optimizer.param_groups)
    assert not optimizer._step_supports_amp_scaling


def test_there_is_nothing_to_fuse_without_a_device():
    assert not OURS["sgd"](Network().to("meta")).param_groups[0]["fused"]
