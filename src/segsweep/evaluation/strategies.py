"""Test strategies: which views of an image a network sees, and that their probabilities are averaged.

A `View` is one way of looking at an image; a `Strategy` is a set of views. Strategies that contain one
another (single ⊂ flip ⊂ multi-scale and flip) have views in common, which are computed once: that is why a
view is a value that can be compared, and not a function.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from segsweep.errors import OptionError
from segsweep.evaluation.views import Pair, View

DEEPLAB_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # Chen et al., 2017 (DeepLabv3), section 4.1; KSAC §5
RESIZE_RULE = "bilinear, half-pixel centres (align_corners=False), no antialiasing"


class Strategy:
    """A test strategy: the mean of the probabilities of its views (KSAC, section 5).

    Args:
        scales: factors by which the image is resized, in pixels of a side.
        flip: whether each scale is seen mirrored too.
        window: (height, width) of a sliding window in pixels of the resized image; none: the whole image.
        stride: (height, width) from window to window; none: two thirds of the window, rounded up.
        output_stride: of the network, where it is not to be the one it was trained at.
        crop: (height, width) in pixels of the middle part of an image that is seen and counted; none: all of
            it. What lies outside is predicted as ignored (255).
        ensemble: ids of further runs, whose probabilities are averaged with those of the run that is tested.

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
        crop: Sequence[int] | None = None,
        ensemble: Sequence[str] | None = None,
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
        self.crop = None if crop is None else _pair("crop", crop)
        self.ensemble = _ids(ensemble or ())

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
            View(scale, flip, self.window, self.stride, self.output_stride, self.crop, run)
            for run in (None, *self.ensemble)
            for flip in mirrored
            for scale in self.scales
        )

    @property
    def name(self) -> str:
        """The settings in a word that a folder can have: equal names are equal settings."""
        parts = [] if self.crop is None else ["center{}x{}".format(*self.crop)]
        parts += [f"os{self.output_stride}"] if self.output_stride is not None else []
        if self.window is not None and self.stride is not None:
            parts.append("slide{}x{}+{}x{}".format(*self.window, *self.stride))
        if self.scales == DEEPLAB_SCALES:
            parts.append("ms")
        elif self.scales != (1.0,):
            parts.append("ms" + "+".join(repr(scale).removesuffix(".0") for scale in self.scales))
        parts += ["flip"] if self.flip else []
        parts += ["with-" + "+".join(self.ensemble)] if self.ensemble else []
        plain = self.scales == (1.0,) and not self.flip and self.window is None and self.crop is None
        return "_".join([*parts, "single"] if plain else parts)

    def settings(self) -> dict[str, Any]:
        """The settings as plain values, for the protocol that lies beside a result."""
        return {
            "scales": list(self.scales),
            "flip": self.flip,
            "window": None if self.window is None else list(self.window),
            "stride": None if self.stride is None else list(self.stride),
            "output_stride": self.output_stride,
            **({} if self.crop is None else {"crop": list(self.crop)}),
            **({"ensemble": list(self.ensemble)} if self.ensemble else {}),
        }


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _scales(scales: Iterable[float]) -> tuple[float, ...]:
    values = tuple(scales) if isinstance(scales, Iterable) and not isinstance(scales, str) else ()
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if not values or len(set(numbers)) != len(values) or not all(0 < v < float("inf") for v in numbers):
        raise OptionError("scales", scales, "different positive numbers, as [0.75,1.0,1.25]")
    return tuple(sorted(float(v) for v in numbers))


def _ids(ensemble: Iterable[object]) -> tuple[str, ...]:
    given = [ensemble] if isinstance(ensemble, str) else list(ensemble)
    ids = tuple(str(id) for id in given)
    if len(set(ids)) != len(ids) or not all(id.isalnum() for id in ids):
        raise OptionError("ensemble", given, "ids of different runs, as segsweep runs lists them")
    return ids


def _pair(option: str, value: Iterable[int]) -> Pair:
    pair = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else ()
    if len(pair) != 2 or not all(_is_positive_int(v) for v in pair):
        raise OptionError(option, value, "two positive integers [height,width] in pixels")
    return pair
