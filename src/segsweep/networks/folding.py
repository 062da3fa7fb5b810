"""Networks that only infer: each BatchNorm becomes a part of the convolution before it.

In evaluation BatchNorm multiplies and shifts a convolution's channels by constants, as the convolution's
own weights and bias can: one pass over each map less, and the same logits to rounding.

Which BatchNorm follows which convolution is read off torch.fx's record of a module's forward pass. Modules
whose Python no such record can be made of are taken apart: their children are recorded.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.fx import Graph, Node, Tracer

from segsweep.networks.segmenter import Network, Segmenter

N = TypeVar("N", bound=Network)

TOLERANCE = 1e-4
"""How far, relative to the largest, logits may differ."""
TRIED = (64, 96)
"""Height and width of an image on which they are compared."""


def folded(network: N) -> N:
    """Return a copy for inference without the BatchNorms that directly follow a convolution.

    A network that is not known as modules (an exported program) is given back as it is; so is one whose
    logits would not be the same, as code of one's own may use a layer in ways that torch.fx does not see.
    """
    if not isinstance(network, Segmenter):
        return network
    image = 255 * torch.rand(1, 3, *TRIED, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            # On the CPU, whose float32 has all its digits: what is compared are roundings.
            found = copy.deepcopy(network).cpu().eval()
            expected = found.logits(image)
            fold(found)
            error = (found.logits(image) - expected).abs().max()
    except Exception:  # whatever such code meets
        return network
    return found if error <= TOLERANCE * expected.abs().max() else network


def fold(network: nn.Module) -> None:
    """Change convolutions, and leave of their BatchNorms what else they do: timm's have an activation."""
    layers = dict(network.named_modules())
    # A layer of two names may be called by either.
    names = Counter(id(layer) for _, layer in network.named_modules(remove_duplicate=False))
    for conv, norm in list(pairs(network)):
        if names[id(layers[conv])] == names[id(layers[norm])] == 1:
            network.set_submodule(conv, nn.utils.fuse_conv_bn_eval(layers[conv], layers[norm]))
            network.set_submodule(norm, getattr(layers[norm], "act", nn.Identity()))


def pairs(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution and of the BatchNorm that alone uses its output."""
    parts = list(module.modules())
    if not any(isinstance(part, nn.BatchNorm2d) for part in parts[1:]):
        return
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    try:
        # What a hook is given would be no tensor.
        graph = None if hooked else Record().trace(module)
    except Exception:  # whatever the module's own Python makes of values that are not there
        graph = None
    if graph is None:
        for name, child in module.named_children():
            yield from pairs(child, f"{prefix}{name}.")
    else:
        for conv, norm in pairs_in(graph, dict(module.named_modules())):
            yield prefix + conv, prefix + norm


class Record(Tracer):
    """Records calls of layers; BatchNorms of timm's are layers too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is recorded as one call."""
        return isinstance(m, nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def pairs_in(graph: Graph, layers: dict[str, nn.Module]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a graph whose layers are called once, and not looked into."""
    uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    uses.update(str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr")
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if not isinstance(before, Node) or {node.op, before.op} != {"call_module"} or len(before.users) > 1:
            continue
        conv, norm = str(before.target), str(node.target)
        if uses[conv] == uses[norm] == 1 and fits(layers[conv], layers[norm]):
            yield conv, norm


def fits(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether these are torch's convolution, and torch's or timm's BatchNorm with running statistics."""
    known = type(conv) is nn.Conv2d and type(norm) in (nn.BatchNorm2d, BatchNormAct2d)
    return known and norm.running_mean is not None
