"""Whether an exported network computes what torch computes: on real images, on odd sizes, on batches.

Shape letters: `B` images, `K` classes, `H W` their size.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.errors import UserError
from segsweep.networks import Segmenter

SHAPES = ((3, 64, 64), (1, 65, 97), (3, 131, 70))
"""(B, H, W) beside the images at their own size: strides divide some sides, and none of others. Sides are
at least two cells of the network's coarsest map."""
GENERATED = (1, 360, 480)
DIFFERENCE = 1e-4
"""Largest difference of logits; of the largest logit, if that is above 1."""
ROUNDING = 3
"""What differs by more is right if it is no farther from float64 than so many times torch's float32."""
EQUAL = 0.999
"""Least share of pixels with the same class."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported network is from torch's."""

    difference: float | None
    """Largest difference of logits; none if labels are given."""
    equal: float
    """Smallest share of pixels of the same class, over batches."""
    shapes: tuple[tuple[int, ...], ...]
    """(B, H, W) of each batch."""
    are_real: bool
    """Whether the images are of the dataset."""

    def __str__(self) -> str:
        sizes = " ".join(f"{b}×{h}×{w}" for b, h, w in self.shapes)
        kind = "images of the dataset" if self.are_real else "generated images (the dataset is not there)"
        found = f"labels are equal for {self.equal:.3%} at least"
        if self.difference is not None:
            found = f"logits differ by {self.difference:.1e} at most, {found}"
        return f"checked against torch on {kind}, {sizes}: {found}"


@torch.inference_mode()
def check(
    network: Segmenter,
    exported: Callable[[Tensor], Tensor],
    images: Sequence[NDArray[np.uint8]],
    name: str,
) -> Agreement:
    """Compare a network's logits on images [H, W, 3] with an exported one's, or its labels with theirs.

    Raises:
        UserError: they differ; the line says where and by how much.
    """
    differences, shares, shapes = [0.0], [1.0], []
    for batch in batches(images, 2 * network.stride):
        shape, expected = (len(batch), *batch.shape[2:]), network(batch).float()
        try:
            found = exported(batch)
        except UserError as error:
            said = next(iter(str(error.__cause__).splitlines()), "")
            raise _refusal(name, shape, f"it does not take them ({said})") from error
        logits, labels = found, expected.argmax(1)
        if found.shape == expected.shape:
            differences.append((expected - found).abs().max().item())
            found = found.argmax(1)
        if found.shape != labels.shape:
            raise _refusal(name, shape, f"gives {list(found.shape)} for logits of {list(expected.shape)}")
        shares.append((labels == found).double().mean().item())
        shapes.append(shape)
        limit = DIFFERENCE * max(1.0, expected.abs().max().item())
        is_near = differences[-1] <= limit or is_rounding(network, batch, expected, logits)
        if not (is_near and shares[-1] >= EQUAL):  # NaN is neither
            what = f"logits differ by {differences[-1]:.1e} (at most {limit:.1e}), labels are equal for "
            raise _refusal(name, shape, f"{what}{shares[-1]:.2%} (at least {EQUAL:.1%})")
    difference = max(differences) if len(differences) > 1 else None
    return Agreement(difference, min(shares), tuple(shapes), bool(images))


def is_rounding(network: nn.Module, images: Tensor, expected: Tensor, found: Tensor) -> bool:
    """Whether logits are as near to a network's in float64 as torch's float32 is.

    Unpooling (ENet, SegNet) makes much of a rounding: of two nearly equal values another is the maximum. If
    that happens to torch's float32 as well, a file was at most twice as far from float64 as torch in all that
    were measured, as it is without unpooling (docs/export.md). If it happens to the file alone, that is
    hundreds of times as far, which no factor tells from a mistake: such a file is refused.
    """
    exact = copy.deepcopy(network).double()(images.double())
    torchs, its = ((logits - exact).abs() for logits in (expected, found))
    near, root = its.max() <= ROUNDING * torchs.max(), ROUNDING**2 * torchs.square().mean()
    return bool(near and its.square().mean() <= root)


def _refusal(name: str, shape: tuple[int, ...], what: str) -> UserError:
    sizes = "×".join(map(str, shape))
    return UserError(
        f"format={name}: the exported network is not the same as torch's on images of {sizes}: {what}; "
        "nothing was written: use another format="
    )


def batches(images: Sequence[NDArray[np.uint8]], least: int) -> Iterator[Tensor]:
    """Yield batches [B, 3, H, W] of whole values 0..255: images at their own size, then as `SHAPES`.

    The latter have sides of at least `least`.
    """
    pixels = [torch.from_numpy(image.copy()).permute(2, 0, 1).float() for image in images]
    if not pixels:
        generator = torch.Generator().manual_seed(0)
        coarse = 255 * torch.rand(3, 3, 12, 16, generator=generator)
        pixels = list(resized(coarse, GENERATED[1:]))
        yield pixels[0][None]
    else:
        for image in pixels:
            yield image[None]
    for count, *sides in SHAPES:
        size = [max(side, least) for side in sides]
        yield torch.cat([resized(pixels[i % len(pixels)][None], size) for i in range(count)])


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return images [B, 3, H, W] at another size, rounded to whole values."""
    return F.interpolate(image, tuple(size), mode="bilinear").round()
