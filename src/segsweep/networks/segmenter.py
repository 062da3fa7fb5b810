"""The whole network: normalisation, encoder, head, and the way back to the image's size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from segsweep.errors import OptionError
from segsweep.networks.blocks import resize
from segsweep.networks.encoder import Encoder
from segsweep.networks.heads.base import Head
from segsweep.networks.tracing import is_exported
from segsweep.rules import check_crop


class Network(nn.Module):
    """What evaluates images: a Segmenter, or an exported network that is run elsewhere."""

    def forward(self, image: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Logits [B, K, *size]; `size` (height, width) is the size of the image unless given."""
        return resize(self.logits(image), size or image.shape[-2:])

    def logits(self, image: Tensor) -> Tensor:
        """Logits [B, K, h, w] of images [B, 3, H, W] with values 0..255, at a stride of the network's own."""
        raise NotImplementedError


class Segmenter(Network):
    """Image [B, 3, H, W] with values 0..255 (uint8 or float) → logits [B, K, H, W].

    Normalisation follows the encoder's weights and happens here, on the device, so that images travel as
    uint8 and no data pipeline needs to know which encoder reads them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        for name, value in (("mean", encoder.mean), ("std", encoder.std)):
            # In units of 0..255. Part of the checkpoint, like every buffer: a moving average of the weights
            # averages buffers too, and rounds, so that a resumed run must take up what the other had.
            self.register_buffer(name, 255 * torch.tensor(value).view(1, 3, 1, 1))

    def logits(self, image: Tensor) -> Tensor:
        """Logits [B, K, h, w] at the head's own stride, or at the image's size if it had to be padded."""
        own, least = image.shape[-2:], max(self.encoder.reductions)
        if is_exported() or min(own) >= least:  # an exported program is given no image that needs padding
            return self._logits(image)
        try:
            return self._logits(image)
        except RuntimeError:
            # A network that does not pad, as ConvNeXt, makes nothing of an image below its coarsest cell.
            below, beside = (max(0, least - side) for side in own)
            padded = pad(image.to(self.mean.dtype) - self.mean, (0, beside, 0, below)) + self.mean
            return resize(self._logits(padded), padded.shape[-2:])[..., : own[0], : own[1]]

    def _logits(self, image: Tensor) -> Tensor:
        output = self.head(self.features(image))
        return self._without_padding(output[0] if isinstance(output, tuple) else output, image.shape[-2:])

    def _without_padding(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Logits [B, K, *size] if the encoder padded the image, else as they are."""
        below, beside = self.encoder.padding(size)
        if self.encoder.multiple == 1 or (not is_exported() and below == beside == 0):
            return logits
        return resize(logits, (size[0] + below, size[1] + beside))[..., : size[0], : size[1]]

    def _own_cells(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """The cells [B, K, h, w] that see something of the image: labels are brought down to these."""
        covered = zip(logits.shape[-2:], size, self.encoder.padding(size), strict=True)
        height, width = (math.ceil(cells * side / (side + more)) for cells, side, more in covered)
        return logits[..., :height, :width]

    def forward_train(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits [B, K, H, W], and the auxiliary logits by name.

        These are at their own strides, to meet labels brought down to them, or with `aux_target=features_up`
        at the image's size.
        """
        size, features = image.shape[-2:], self.features(image)
        output = self.head(features)
        logits, own = output if isinstance(output, tuple) else (output, ())
        auxiliary = self.head.auxiliary_logits(features, own)
        if self.head.auxiliary is not None and self.head.auxiliary.upsampled:
            auxiliary = {n: resize(self._without_padding(one, size), size) for n, one in auxiliary.items()}
        elif self.encoder.multiple > 1:
            auxiliary = {name: self._own_cells(one, size) for name, one in auxiliary.items()}
        return resize(self._without_padding(logits, size), size), auxiliary

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss, by the names that `forward_train` gives."""
        return {} if self.head.auxiliary is None else self.head.auxiliary.weights

    @property
    def cascades_labels(self) -> bool:
        """Whether auxiliary losses want labels that are brought down size by size."""
        return self.head.auxiliary is not None and self.head.auxiliary.cascaded

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's maps of an image [B, 3, H, W] with values 0..255."""
        maps: list[Tensor] = self.encoder((image.to(self.mean.dtype) - self.mean) / self.std)
        return maps


def inference_parameters(segmenter: Segmenter) -> int:
    """Return the number of parameters without auxiliary branches, which exist in training only."""
    named = segmenter.named_parameters()
    return sum(parameter.numel() for name, parameter in named if not is_auxiliary(name))


def is_auxiliary(name: str) -> bool:
    """Whether a tensor of a segmenter belongs to its auxiliary branches."""
    return name.startswith("head.auxiliary.")


def check_input(encoder: Encoder, size: Sequence[int], micro_batch: int) -> None:
    """Refuse a training crop that the network cannot learn from.

    Raises:
        ConfigError: the crop is smaller than the encoder's coarsest cell, or its coarsest map is a single
            cell and the batch a single image, where BatchNorm has no variance to work with.
    """
    stride = max(encoder.reductions)
    check_crop(size, stride)
    cells = -(-size[0] // stride) * -(-size[1] // stride)
    if cells == 1 and micro_batch == 1:
        raise OptionError(
            "size",
            size,
            problem="gives a feature map of 1×1: a batch of one image leaves BatchNorm one value a channel",
            remedy=f"use a crop larger than {stride} or a batch_size of at least 2 a device",
        )
