"""Encoders: any timm model that gives feature maps, at a chosen output stride.

Channels, reductions and normalisation are asked of timm, never kept in a table of our own.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from torch import Tensor, nn

from segsweep.errors import OptionError
from segsweep.networks.blocks import halved
from segsweep.networks.image_pyramid import Interleaving
from segsweep.networks.timm_models import channels_first, create
from segsweep.rules import COUNT


class Encoder(nn.Module):
    """A timm `features_only` model.

    `forward` gives a list of maps, map i being [B, channels[i], H / reductions[i], W / reductions[i]],
    rounded up (down in a model that does not pad, as ConvNeXt). Some models, as transformers, take only
    images whose sides are multiples of `multiple`. `mean` and `std` (RGB, in units of 0..1) are those that
    its weights were trained with.

    Args:
        name: a timm model name.
        output_stride: 8, 16 or 32: where the encoder stops striding and dilates instead. A model that
            cannot dilate has only its natural one, such as 32 (Swin) or the patch of a vision transformer.
        pretrained: load timm's own ImageNet weights (from its cache or the hub).
        weights: a local file of the same weights (safetensors or a torch state dict); wins over `pretrained`.
        mean, std: normalisation, if that of the file differs from timm's record for `name`.
        options: further arguments of the timm model, such as `pad_type: same`.
        last_expansion: False leaves out the 1×1 convolution with which MobileNetV3 (and its kin) widens the
            last map for its classifier, from 160 to 960 channels or from 96 to 576 (Dual ASPP's encoders).
        pyramid: images that the same weights see, each with half the sides of the one before; their maps are
            interleaved by stride (`image_pyramid.Interleaving`), so that the last one is 2^(pyramid − 1)
            times coarser. None is 1, the image alone.

    Raises:
        ConfigError: an unknown model, a stride it cannot have, weights that cannot be had or do not fit,
            normalisation that is not three numbers, no last expansion to leave out, or a pyramid of no image.
    """

    def __init__(
        self,
        name: str,
        output_stride: int = 16,
        pretrained: bool = False,
        weights: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        options: Mapping[str, Any] | None = None,
        last_expansion: bool | None = None,
        pyramid: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.output_stride = name, output_stride
        self.has_pretrained_weights = pretrained or weights is not None
        made = create(name, output_stride, pretrained and weights is None, _check_options(options))
        self.body, self.multiple = made.model, made.multiple
        channels: list[int] = self.body.feature_info.channels()
        if last_expansion not in (None, True, False):
            raise OptionError("last_expansion", last_expansion, "null, true or false")
        if last_expansion is False:
            channels[-1] = _leave_out_last_expansion(self.body, name)
        if weights is not None:
            _load_weights(self.body, name, Path(weights))
        self.levels = COUNT.or_null().check("pyramid", pyramid) or 1
        self.interleaving = Interleaving(channels, self.body.feature_info.reduction(), self.levels)
        self.channels, self.reductions = self.interleaving.channels, self.interleaving.reductions
        if self.multiple > 1:  # of the smallest image's sides
            self.multiple *= 2 ** (self.levels - 1)
        recorded = resolve_data_config({}, model=self.body)  # type: ignore[no-untyped-call]
        self.mean = _check_normalisation("mean", recorded["mean"] if mean is None else mean)
        self.std = _check_normalisation("std", recorded["std"] if std is None else std, above=0)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised image [B, 3, H, W] → feature maps, finest first."""
        levels = [channels_first(self.body, self.body(x))]
        for _ in range(1, self.levels):
            x = halved(x)
            levels.append(channels_first(self.body, self.body(x)))
        return self.interleaving(levels)


def _check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(options, Mapping | None):
        raise OptionError("options", options, "options by name: +backbone.options.pad_type=same")
    return dict(options or {})


def _check_normalisation(name: str, values: Sequence[float], above: float = -math.inf) -> tuple[float, ...]:
    """Three numbers, one a colour."""
    good = isinstance(values, list | tuple) and len(values) == 3
    if not good or not all(isinstance(v, int | float) and above < v < math.inf for v in values):
        least = "" if above == -math.inf else f", all above {above}"
        raise OptionError(name, values, f"three numbers (RGB, in units of 0..1){least}")
    return tuple(values)


def _leave_out_last_expansion(body: Any, name: str) -> int:
    """Remove the 1×1 convolution behind the last map; return the channels that the map has then."""
    place = body.feature_info.module_name(-1)
    modules = dict(body.named_modules())
    convs = [m for m in modules[place].modules() if isinstance(m, nn.Conv2d)] if place in modules else []
    if len(convs) != 1 or convs[0].kernel_size != (1, 1):
        problem = f"{name} has no 1×1 convolution of its own before its last map"
        remedy = "use last_expansion=null or a MobileNetV3"
        raise OptionError("last_expansion", False, problem=problem, remedy=remedy)
    body.set_submodule(place, nn.Identity())
    return convs[0].in_channels


def _load_weights(body: nn.Module, name: str, file: Path) -> None:
    """Load a classifier's or an encoder's state dict; what lies behind the last feature map is left out.

    A body on the meta device, which holds no values, is only compared with the file.
    """
    content = read_weights(file, "weights")
    state = content.get("state_dict", content)
    wanted = body.state_dict()
    names = {key: key if key in state else _classifiers(key) for key in wanted}
    kept = {key: state[name] for key, name in names.items() if name in state}
    missing = sorted(wanted.keys() - kept.keys())
    wrong = [key for key, value in kept.items() if value.shape != wanted[key].shape]
    if missing or wrong:
        found = f"{len(missing)} of {len(wanted)} tensors missing, {len(wrong)} of another shape"
        problem = f"not the weights of {name}: {found} (first: {(missing + wrong)[0]})"
        raise OptionError("weights", file, problem=problem)
    if not any(value.is_meta for value in wanted.values()):
        body.load_state_dict(kept)


def _classifiers(key: str) -> str:
    """Return a tensor's name in the classifier, where `features_only` models have another (layers_0.…)."""
    return re.sub(r"^(\w+?)_(\d+)\.", r"\1.\2.", key.removeprefix("model."))


def read_weights(file: Path, option: str) -> dict[str, Any]:
    """Read a file on the CPU: a state dict, or a checkpoint with one under `state_dict`.

    Only tensors and plain values are read, so a file from elsewhere cannot run code.

    Args:
        option: the option that names the file.

    Raises:
        ConfigError: it does not exist, or holds something else.
    """
    if not file.is_file():
        raise OptionError(option, file, problem="no such file", remedy="give a file of weights")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # whichever the reader meets first in a file of another kind
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise OptionError(
            option,
            file,
            problem=f"not readable as weights ({reason})",
            expected="*.safetensors, or what torch.load reads with weights_only=True",
        ) from error
