"""Parameters and multiply-accumulates of a network, counted by torch on the meta device."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def gmacs(network: nn.Module, size: tuple[int, int]) -> float:
    """Of one image in evaluation mode; torch counts a multiply-accumulate as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 2e9
