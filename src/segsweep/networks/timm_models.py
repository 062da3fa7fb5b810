"""Making timm's models: at a chosen output stride if they take one, else at their natural one.

Models of the second kind differ in what images they take. Each is asked, without weights and on torch's meta
device, so that one that cannot be used is refused by its name before anything trains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor

from segsweep.errors import OptionError
from segsweep.rules import is_whole

OUTPUT_STRIDES = (8, 16, 32)
"""The choice of models that can dilate. Any other has its own, a vision transformer its patches' side."""
ANY_SIZE: tuple[Mapping[str, Any], ...] = (
    {"dynamic_img_size": True},  # vision transformers
    {"strict_img_size": False},  # Swin
    {},
)
"""Options with which models take images of other sizes than they were trained with."""
ODD = (97, 301)
"""A size that no stride divides: tests are on whole images. Brought to multiples it is still no square."""


@dataclass(frozen=True)
class Body:
    """A timm `features_only` model, and the multiple that it wants image sides padded to."""

    model: Any
    multiple: int = 1


def create(name: str, output_stride: int, pretrained: bool, options: Mapping[str, Any]) -> Body:
    """Make a model.

    Raises:
        ConfigError: there is none of this name, it does not come with this output stride, or its weights
            cannot be had.
    """
    if not is_whole(output_stride):
        raise OptionError("output_stride", output_stride, f"one of {OUTPUT_STRIDES}, or the model's own")
    if not (isinstance(name, str) and timm.is_model(name)):
        raise OptionError("name", name, problem="timm has no such model", near=timm.list_models())
    settings, reason = {"output_stride": output_stride, **options}, f"not one of {OUTPUT_STRIDES}"
    if output_stride in OUTPUT_STRIDES:
        try:
            return Body(_made(name, settings, pretrained))
        except Exception as error:  # of any kind: each model has its own way to refuse
            refusal = _refusal(name, settings)
            if refusal is None:
                raise (_without_weights(name, error) if pretrained else error) from error.__cause__
            reason = refusal
    settings, multiple = _natural(name, output_stride, options, reason)
    try:
        return Body(_made(name, settings, pretrained), multiple)
    except Exception as error:
        raise (_without_weights(name, error) if pretrained else error) from error.__cause__


def _made(name: str, options: Mapping[str, Any], pretrained: bool = False) -> Any:
    return timm.create_model(name, features_only=True, pretrained=pretrained, **options)


def _without_weights(name: str, error: Exception) -> OptionError:
    return OptionError(
        "pretrained",
        True,
        problem=f"timm could not get the weights of {name} ({type(error).__name__}; offline?)",
        remedy="give a local file by the option weights, or train from scratch with pretrained=false",
    )


def _refusal(name: str, options: Mapping[str, Any]) -> str | None:
    """Return why timm does not make the model with these options; None if it does."""
    try:
        _bare(name, options)
    except Exception as error:
        return str(error).strip().split("\n")[0] or type(error).__name__
    return None


def _bare(name: str, options: Mapping[str, Any]) -> Any:
    with torch.device("meta"):
        return _made(name, options)


def _natural(
    name: str, output_stride: int, options: Mapping[str, Any], reason: str
) -> tuple[dict[str, Any], int]:
    """The options with which a model gives its maps at its own output stride, and the multiple for images."""
    for more in ANY_SIZE:
        settings = {**more, **options}
        if _refusal(name, settings) is None:
            break
    else:
        other = "" if output_stride == 32 else "output_stride=32 or "
        problem = f"timm cannot give its feature maps at backbone.output_stride={output_stride} ({reason})"
        raise OptionError("name", name, problem=problem, remedy=f"try {other}another backbone")
    model = _bare(name, settings)
    own = model.feature_info.reduction()[-1]
    if own != output_stride and output_stride not in OUTPUT_STRIDES:
        expected = f"one of {OUTPUT_STRIDES} if {name} can dilate, or its own, {own}"
        raise OptionError("output_stride", output_stride, expected)
    if own != output_stride:
        problem = f"its output stride is {own} and cannot be chosen (backbone.output_stride={output_stride})"
        raise OptionError(
            "name", name, problem=problem, remedy=f"use output_stride={own} or another backbone"
        )
    reductions = model.feature_info.reduction()
    # Of any size, of whole patches or cells, or of windows of 7 or 8 cells (MaxViT).
    for multiple in (1, reductions[0], *(n * own for n in (1, 7, 8))):
        if _gives_its_maps(model, *(math.ceil(side / multiple) * multiple for side in ODD)):
            return settings, multiple
    problem = "it does not give its maps for images of any size, which whole images have"
    raise OptionError("name", name, problem=problem, remedy="try another backbone")


def _gives_its_maps(model: Any, height: int, width: int) -> bool:
    """Whether the maps of an image have the channels and sizes that they should, rounded up or down."""
    try:
        with torch.device("meta"):
            maps = channels_first(model, model.eval()(torch.empty(1, 3, height, width)))
    except Exception:
        return False
    info = model.feature_info
    return all(
        one.shape[1] == channels
        and height // stride <= one.shape[2] <= math.ceil(height / stride)
        and width // stride <= one.shape[3] <= math.ceil(width / stride)
        for one, channels, stride in zip(maps, info.channels(), info.reduction(), strict=True)
    )


def channels_first(model: Any, maps: list[Tensor]) -> list[Tensor]:
    """Return a model's maps as [B, C, h, w]; some models give [B, h, w, C]."""
    if str(getattr(model, "output_fmt", "")).endswith("NHWC"):
        return [one.permute(0, 3, 1, 2).contiguous() for one in maps]
    return maps
