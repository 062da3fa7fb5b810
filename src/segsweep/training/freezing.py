"""Parts of the network that a stage leaves as they are."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from segsweep.errors import ConfigError, near
from segsweep.networks import Segmenter

BATCH_NORM = "batch_norm"


def freeze(segmenter: Segmenter, parts: Sequence[str] | None) -> list[nn.Module]:
    """Take parts out of training; the modules that must stay in evaluation mode while the rest trains.

    `batch_norm` is every BatchNorm, weights and running statistics (DeepLab fine-tunes so); any other part is
    a module by its name, such as `encoder` or `encoder.body.blocks.0`, with the BatchNorm inside it.

    Raises:
        ConfigError: a name that the network does not have.
    """
    parts = list(parts or ())
    modules = dict(segmenter.named_modules())
    frozen: list[nn.Module] = []
    for part in parts:
        if part == BATCH_NORM:
            frozen += [module for module in modules.values() if isinstance(module, _BatchNorm)]
        elif part in modules:
            frozen.append(modules[part])
        else:
            known = near(str(part), [BATCH_NORM, *modules])
            raise ConfigError(f"trainer.freeze={parts}: the network has no part {part}; {known}")
    for module in frozen:
        # In evaluation from the start: Lightning trains a module in the mode that it finds.
        module.requires_grad_(False).eval()
    if parts and not any(parameter.requires_grad for parameter in segmenter.parameters()):
        raise ConfigError(f"trainer.freeze={parts}: nothing is left to train")
    return frozen
