"""What whole networks have in common."""

from collections.abc import Sequence
from typing import Unpack

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from segsweep.networks.heads.auxiliary import Auxiliary, AuxiliaryOptions
from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.segmenter import Segmenter


class WholeNetwork(Segmenter):
    """A network that is built as `Network(num_classes, **options)`.

    Subclasses compute `maps`, and set `stride` and, if their maps must divide evenly, `multiple`. Auxiliary
    losses need little of them, as of heads: a network names the channels of the maps that may carry one in
    `own_channels`, and returns `(logits, those maps)` in training mode. Where a paper has no losses of its
    own, these are the stages of its encoder from 1/4 on.

    A network that has an encoder with ImageNet's weights calls it `encoder`.
    """

    own_channels: Sequence[int] = ()

    def __init__(
        self,
        num_classes: int,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__(mean, std)
        self.num_classes = num_classes
        self.encoder = None
        self.auxiliary: Auxiliary | None = None

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, h, w] at the network's own stride."""
        raise NotImplementedError

    def add_auxiliary(self, num_classes: int, **options: Unpack[AuxiliaryOptions]) -> None:
        """Put auxiliary losses on the network's own maps (taps 1…).

        Call it on the finished network, so that its other weights are drawn alike with and without them.

        Raises:
            ConfigError: options that do not fit.
        """
        auxiliary = Auxiliary(self.own_channels, num_classes, **options)
        self.auxiliary = auxiliary if auxiliary.taps else None

    def outputs(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Normalised image → logits at the network's own stride, auxiliary logits by name."""
        output = self.maps(x)
        logits, own = output if isinstance(output, tuple) else (output, ())
        auxiliary = {} if self.auxiliary is None or not self.training else self.auxiliary(own)
        return logits, auxiliary

    @property
    def branches(self) -> Auxiliary | None:
        """The auxiliary branches, if the network has any."""
        return self.auxiliary

    def is_of_classes(self, name: str) -> bool:
        """Whether a tensor has a dimension of as many numbers as there are classes."""
        return self.num_classes in self.state_dict()[name].shape
