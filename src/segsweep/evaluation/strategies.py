"""Test strategies: which views of an image a network sees, and that their probabilities are averaged.

A `View` is one way of looking at an image; a `Strategy` is a set of views. Strategies that contain one
another (single ⊂ flip ⊂ multi-scale and flip) have views in common, which are computed once: that is why a
view is a value that can be compared, and not a function.

Sliding windows show a large image as overlapping crops, each of the size of a training crop. They lie on a
grid of strides; the last of each row and column is moved back to end at the image's border, so that nothing
is padded (as in mmsegmentation's `slide_inference`). Logits are averaged where windows overlap.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from segsweep.errors import OptionError
from segsweep.networks.blocks import resize

Pair = tuple[int, int]

DEEPLAB_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # Chen et al., 2017 (DeepLabv3), section 4.1; KSAC §5
RESIZE_RULE = "bilinear, half-pixel centres (align_corners=False), no antialiasing"


@dataclass(frozen=True)
class View:
    """One look at an image: resized, mirrored, whole or through windows, at an output stride.

    Views are ordered by their settings, so that every set of them has one order of computation.
    """

    scale: float = 1.0
    flip: bool = False
    window: Pair | None = None
    stride: Pair | None = None
    output_stride: int | None = None

    def __lt__(self, other: "View") -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[Any, ...]:
        return self.output_stride or 0, self.window or (), self.stride or (), self.flip, self.scale

    def logits(self, segmenter: nn.Module, image: Tensor) -> Tensor:
        """Logits [1, K, H, W], float32, at the size of the image [1, 3, H, W] and mirrored back.

        The batch is one image, always: which images keep an image company must not change its result.
        """
        height, width = image.shape[-2:]
        seen = resize(image, (max(1, round(height * self.scale)), max(1, round(width * self.scale))))
        seen = seen.flip(-1) if self.flip else seen
        if self.window is None or self.stride is None:
            logits = segmenter(seen, (height, width)).float()
        else:
            logits = resize(sliding_logits(segmenter, seen, self.window, self.stride), (height, width))
        unflipped: Tensor = logits.flip(-1) if self.flip else logits
        return unflipped


class Strategy:
    """A test strategy: the mean of the probabilities of its views (KSAC, section 5).

    Args:
        scales: factors by which the image is resized, in pixels of a side.
        flip: whether each scale is seen mirrored too.
        window: (height, width) of a sliding window in pixels of the resized image; none: the whole image.
        stride: (height, width) from window to window; none: two thirds of the window, rounded up.
        output_stride: of the network, where it is not to be the one it was trained at.

    A strategy of one's own is a subclass with its own `views` and `name`.

    Raises:
        OptionError: a setting is of the wrong kind or out of range.
    """

    def __init__(
        self,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        window: Sequence[int] | None = None,
        stride: Sequence[int] | None = None,
        output_stride: int | None = None,
    ) -> None:
        self.scales = _scales(scales)
        if not isinstance(flip, bool):
            raise OptionError("flip", flip, "true or false")
        self.flip = flip
        self.window = None if window is None else _pair("window", window)
        self.stride = self._stride(stride)
        if output_stride is not None and not _is_positive_int(output_stride):
            expected = "a positive integer, or null for the one the network was trained at"
            raise OptionError("output_stride", output_stride, expected)
        self.output_stride = output_stride

    def _stride(self, stride: Sequence[int] | None) -> Pair | None:
        if self.window is None:
            if stride is not None:
                raise OptionError(
                    "stride", stride, problem="without a window", remedy="give window=[h,w] too"
                )
            return None
        height, width = self.window
        if stride is None:
            return -(-2 * height // 3), -(-2 * width // 3)
        pair = _pair("stride", stride)
        if pair[0] > height or pair[1] > width:
            problem = f"larger than window={list(self.window)}, which leaves pixels unseen"
            raise OptionError("stride", list(pair), "at most the window", problem=problem)
        return pair

    def views(self) -> tuple[View, ...]:
        """The views whose probabilities are averaged, each once."""
        mirrored = (False, True) if self.flip else (False,)
        return tuple(
            View(scale, flip, self.window, self.stride, self.output_stride)
            for flip in mirrored
            for scale in self.scales
        )

    @property
    def name(self) -> str:
        """The settings in a word that a folder can have: equal names are equal settings."""
        parts = [f"os{self.output_stride}"] if self.output_stride is not None else []
        if self.window is not None and self.stride is not None:
            parts.append("slide{}x{}+{}x{}".format(*self.window, *self.stride))
        if self.scales == DEEPLAB_SCALES:
            parts.append("ms")
        elif self.scales != (1.0,):
            parts.append("ms" + "+".join(repr(scale).removesuffix(".0") for scale in self.scales))
        parts += ["flip"] if self.flip else []
        plain = self.scales == (1.0,) and not self.flip and self.window is None
        return "_".join([*parts, "single"] if plain else parts)

    def settings(self) -> dict[str, Any]:
        """The settings as plain values, for the protocol that lies beside a result."""
        return {
            "scales": list(self.scales),
            "flip": self.flip,
            "window": None if self.window is None else list(self.window),
            "stride": None if self.stride is None else list(self.stride),
            "output_stride": self.output_stride,
        }


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _scales(scales: Iterable[float]) -> tuple[float, ...]:
    values = tuple(scales) if isinstance(scales, Iterable) and not isinstance(scales, str) else ()
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if not values or len(set(numbers)) != len(values) or not all(0 < v < float("inf") for v in numbers):
        raise OptionError("scales", scales, "different positive numbers, as [0.75,1.0,1.25]")
    return tuple(sorted(float(v) for v in numbers))


def _pair(option: str, value: Iterable[int]) -> Pair:
    pair = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else ()
    if len(pair) != 2 or not all(_is_positive_int(v) for v in pair):
        raise OptionError(option, value, "two positive integers [height,width] in pixels")
    return pair


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side of `length` pixels; one window at 0 if it is shorter."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def windows(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window over an image of `size`, all as (height, width) in pixels."""
    height, width = min(window[0], size[0]), min(window[1], size[1])
    tops = window_starts(size[0], window[0], stride[0])
    lefts = window_starts(size[1], window[1], stride[1])
    for top, left in product(tops, lefts):
        yield slice(top, top + height), slice(left, left + width)


def sliding_logits(
    segmenter: nn.Module, image: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Mean of the logits [1, K, H, W] over all windows that see a pixel of the image [1, 3, H, W].

    Each window is its own forward pass. An image smaller than the window is one window of its own size.
    """
    height, width = image.shape[-2:]
    total: Tensor | None = None
    coverage = torch.zeros(1, 1, height, width, device=image.device)
    for rows, columns in windows((height, width), window, stride):
        crop = image[..., rows, columns]
        logits = segmenter(crop, tuple(crop.shape[-2:])).float()
        if total is None:
            total = logits.new_zeros(1, logits.shape[1], height, width)
        total[..., rows, columns] += logits
        coverage[..., rows, columns] += 1
    assert total is not None
    return total / coverage
