"""Parameters and multiply-accumulates (MACs): what can be counted without running anything."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segsweep.networks import Segmenter

AUXILIARY = "auxiliary"  # the submodule in which a head keeps what it needs in training only


def parameters(segmenter: Segmenter) -> dict[str, int]:
    """Trained parameters by part: encoder, head and auxiliary, which leave none out and count none twice.

    Auxiliary heads are found by name, as a submodule `auxiliary` anywhere in the head; inference does
    without them. A parameter that several modules share is counted once.
    """
    parts = {"encoder": 0, "head": 0, AUXILIARY: 0}
    for name, parameter in segmenter.named_parameters():
        part, *modules = name.split(".")
        parts[AUXILIARY if AUXILIARY in modules else part] += parameter.numel()
    return parts


def macs(segmenter: nn.Module, size: Sequence[int]) -> float:
    """Multiply-accumulates of an inference of one image of `size` (height, width).

    Counted by torch from convolutions, matrix products and attention, padding included; BatchNorm,
    activations and upsampling are not counted. Torch counts two operations a MAC, the papers' "FLOPs (G)"
    one. The network must be on the meta device, where nothing is computed.
    """
    image = torch.empty(1, 3, *size, device="meta")
    segmenter.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        segmenter(image)
    return float(counter.get_total_flops() / 2)
