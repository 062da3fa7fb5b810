"""What every network for segmentation has in common: normalisation, and the way back to the image's size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from segsweep.errors import OptionError
from segsweep.networks.blocks import resize
from segsweep.networks.encoder import Encoder
from segsweep.networks.heads.auxiliary import Auxiliary
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

    Normalisation follows the weights and happens here, on the device, so that images travel as uint8 and no
    data pipeline needs to know which network reads them.

    Subclasses compute `outputs`: `EncoderHead` of an encoder and a head, each whole network by itself.

    Args:
        mean, std: normalisation (RGB, in units of 0..1).
    """

    mean: Tensor
    std: Tensor
    stride: int
    """Pixels of an image in a cell of the coarsest map, along a side."""
    multiple: int = 1
    """Image sides are padded to a multiple of it."""
    encoder: Encoder | None
    """The part that may start from ImageNet's weights."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            # In units of 0..255. Part of the checkpoint, like every buffer: a moving average of the weights
            # averages buffers too, and rounds, so that a resumed run must take up what the other had.
            self.register_buffer(name, 255 * torch.tensor(value).view(1, 3, 1, 1))

    def outputs(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Normalised image [B, 3, H, W] → logits at the network's own stride, auxiliary logits by name.

        The latter are at the strides of the maps that they come from, and none outside training mode.
        """
        raise NotImplementedError

    @property
    def branches(self) -> Auxiliary | None:
        """The auxiliary branches, if the network has any."""
        raise NotImplementedError

    def is_of_classes(self, name: str) -> bool:
        """Whether a tensor may have another shape in the same network for another number of classes."""
        raise NotImplementedError

    def logits(self, image: Tensor) -> Tensor:
        """Logits [B, K, h, w] at the network's own stride, or at the image's size if it had to be padded."""
        x, size = self.normalised(image), image.shape[-2:]
        if self.multiple > 1:
            padded = self._padded(x)
            return _cropped(self.outputs(padded)[0], padded, size)
        if is_exported() or min(size) >= self.stride:  # an exported program is given no smaller image
            return self.outputs(x)[0]
        try:
            return self.outputs(x)[0]
        except RuntimeError:
            # A network that does not pad, as ConvNeXt, makes nothing of an image below its coarsest cell.
            padded = _with_sides(x, [max(side, self.stride) for side in size])
            return _cropped(self.outputs(padded)[0], padded, size)

    def forward_train(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits [B, K, H, W], and the auxiliary logits by name.

        These are at their own strides, to meet labels brought down to them, or with `aux_target=features_up`
        at the image's size. Logits [B, K] are about the whole image (head=encnet).
        """
        size, branches = image.shape[-2:], self.branches
        padded = self._padded(self.normalised(image))
        logits, auxiliary = self.outputs(padded)
        maps = {name: one for name, one in auxiliary.items() if one.dim() == 4}
        if branches is not None and branches.upsampled:
            maps = {name: resize(_cropped(one, padded, size), size) for name, one in maps.items()}
        elif self.multiple > 1:
            maps = {name: _own_cells(one, padded, size) for name, one in maps.items()}
        return resize(_cropped(logits, padded, size), size), {**auxiliary, **maps}

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss, by the names that `forward_train` gives."""
        return {} if self.branches is None else self.branches.weights

    @property
    def cascades_labels(self) -> bool:
        """Whether auxiliary losses want labels that are brought down size by size."""
        return self.branches is not None and self.branches.cascaded

    def normalised(self, image: Tensor) -> Tensor:
        """Return an image with values 0..255 as the network's weights expect it."""
        return (image.to(self.mean.dtype) - self.mean) / self.std

    def _padded(self, x: Tensor) -> Tensor:
        # In this form an exported program knows them for multiples, whose halves strided layers agree on.
        cells = [(side + self.multiple - 1) // self.multiple for side in x.shape[-2:]]
        return _with_sides(x, [self.multiple * number for number in cells])


def _with_sides(x: Tensor, sides: Sequence[int]) -> Tensor:
    """Pad [B, 3, H, W] below and on the right; zeros are the mean colour."""
    below, beside = (after - before for after, before in zip(sides, x.shape[-2:], strict=True))
    # An exported program would be bound to the outcome of the comparison.
    return pad(x, (0, beside, 0, below)) if is_exported() or below or beside else x


def _cropped(logits: Tensor, padded: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits of a padded image at the size of the image, those of one that is not padded as given."""
    if is_exported():  # whether a slice is contiguous is another comparison that would bind a program
        rows, columns = (torch.arange(side, device=logits.device) for side in size)
        return resize(logits, padded.shape[-2:]).index_select(2, rows).index_select(3, columns)
    if padded.shape[-2:] == size:
        return logits
    return resize(logits, padded.shape[-2:])[..., : size[0], : size[1]]


def _own_cells(logits: Tensor, padded: Tensor, size: Sequence[int]) -> Tensor:
    """Return the cells [B, K, h, w] that see something of the image: labels are brought down to these."""
    covered = zip(logits.shape[-2:], size, padded.shape[-2:], strict=True)
    height, width = (math.ceil(cells * side / whole) for cells, side, whole in covered)
    return logits[..., :height, :width]


def inference_parameters(segmenter: Segmenter) -> int:
    """Return the number of parameters without auxiliary branches, which exist in training only."""
    named = segmenter.named_parameters()
    return sum(parameter.numel() for name, parameter in named if not is_auxiliary(name))


def is_auxiliary(name: str) -> bool:
    """Whether a tensor of a segmenter belongs to its auxiliary branches."""
    return name.startswith(("head.auxiliary.", "head.presence.", "auxiliary."))


def check_input(stride: int, size: Sequence[int], micro_batch: int) -> None:
    """Refuse a training crop that a network cannot learn from, given the stride of its coarsest map.

    Raises:
        ConfigError: the crop is smaller than a cell of that map, or the map is a single cell and the batch a
            single image, where BatchNorm has no variance to work with.
    """
    check_crop(size, stride)
    cells = -(-size[0] // stride) * -(-size[1] // stride)
    if cells == 1 and micro_batch == 1:
        raise OptionError(
            "size",
            size,
            problem="gives a feature map of 1×1: a batch of one image leaves BatchNorm one value a channel",
            remedy=f"use a crop larger than {stride} or a batch_size of at least 2 a device",
        )
