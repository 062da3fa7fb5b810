"""FCN-8s, against the paper's network put together from torchvision's VGG-16."""

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, relu
from torchvision.models import vgg16

from segsweep.errors import ConfigError
from segsweep.networks import Encoder
from segsweep.networks.heads.fcn8s import Fcn8s, upsampling


def test_it_is_the_papers_network_on_vgg16():
    torch.manual_seed(0)
    vgg = vgg16(init_weights=False).features.eval()
    with torch.device("meta"):  # its own weights take seconds to draw
        encoder = Encoder("vgg16", output_stride=32).eval()
    weights = {f"features_{key}": value for key, value in vgg.state_dict().items()}
    encoder.body.load_state_dict(weights, assign=True)
    head = Fcn8s(encoder.channels, encoder.reductions, 3, width=8, pooled=True).eval()
    image = torch.randn(1, 3, 32, 64)
    (fc6, fc7), score = (head.hidden[0], head.hidden[3]), head.scores
    with torch.no_grad():
        pool3, pool4, pool5 = vgg[:17](image), vgg[:24](image), vgg(image)
        hidden = relu(conv2d(relu(conv2d(pool5, fc6.weight, fc6.bias, padding=3)), fc7.weight, fc7.bias))
        up2, up4 = (conv.weight for conv in reversed(head.up))
        fused = score[1](pool4) + conv_transpose2d(score[2](hidden), up2, stride=2, padding=1)
        want = score[0](pool3) + conv_transpose2d(fused, up4, stride=2, padding=1)
        torch.testing.assert_close(head(encoder(image)), want, rtol=1e-5, atol=1e-6)
    assert want.shape == (1, 3, 4, 8)


@pytest.mark.parametrize("factor", [2, 4])
def test_upsampling_starts_as_bilinear(factor):
    """Inside: at the border a transposed convolution has nothing beyond, where interpolation repeats."""
    x = torch.randn(1, 3, 6, 8)
    want = interpolate(x, scale_factor=factor, mode="bilinear")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(upsampling(3, factor)(x)[inside], want[inside])


def test_it_says_how_many_stages_it_needs():
    with pytest.raises(ConfigError, match="head=fcn8s needs 4 stages"):
        Fcn8s([8, 8, 8], [8, 16, 32], 2, width=4, pooled=True)
