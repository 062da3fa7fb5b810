"""The networks, in pure torch: an encoder from timm with a head, or a whole network; both are Segmenters.

Nothing here may know of Lightning, Hydra or data sets: a network is built from plain arguments.

Shape letters: B batch, C channels, H W image or map, K classes, R atrous rates.
"""

from segsweep.networks.encoder import Encoder
from segsweep.networks.encoder_head import EncoderHead
from segsweep.networks.segmenter import Segmenter

__all__ = ["Encoder", "EncoderHead", "Segmenter"]
