"""The encoder-decoder that ATONet's Table 3 compares with (Fig. 1 (b): merged layer by layer)."""

from collections.abc import Sequence

from torch import Tensor

from segsweep.networks.blocks import TopDown
from segsweep.networks.heads.atonet import classifier
from segsweep.networks.heads.base import Head, HeadOutput, check_width, stages_from_4


class EncoderDecoder(Head):
    """From the coarsest stage down to 1/4, merged with each stage on the way; ATONet's classifier.

    The poster names this architecture and prints only its size. This one is ours, designed to that size with
    the same encoder and width: ResNet-18, 19 classes, 1024×1024 gives 12.468 M parameters and 62.30 GMACs for
    the published 12.49 M and 62.02.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "encoder_decoder")
        check_width(width)
        self.decoder = TopDown([channels[i] for i in self.stages], width)
        self.seg = classifier(width, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        logits: Tensor = self.seg(self.decoder([features[i] for i in self.stages]))
        return logits
