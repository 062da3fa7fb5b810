"""DeepLab's first two versions, against sums written out with torch's own functions."""

import torch
from torch.nn.functional import conv2d, relu

from segsweep.networks.heads.deeplabv2 import DeeplabV2


def test_aspp_l_is_the_sum_of_its_classifiers():
    head = DeeplabV2([4], [8], 3).eval()
    x = torch.randn(2, 4, 9, 11)
    kernels = [(branch[-1].weight, branch[-1].bias) for branch in head.branches]
    want = sum(
        conv2d(x, weight, bias, padding=rate, dilation=rate)
        for (weight, bias), rate in zip(kernels, (6, 12, 18, 24), strict=True)
    )
    torch.testing.assert_close(head([x]), want)


def test_a_branch_with_hidden_layers():
    head = DeeplabV2([4], [16], 3, rates=[6], width=5, dropout=0.5).eval()
    x = torch.randn(1, 4, 9, 11)
    fc6, fc7, fc8 = (layer for layer in head.branches[0] if hasattr(layer, "weight"))
    hidden = relu(conv2d(x, fc6.weight, fc6.bias, padding=6, dilation=6))
    want = conv2d(relu(conv2d(hidden, fc7.weight, fc7.bias)), fc8.weight, fc8.bias)
    torch.testing.assert_close(head([x]), want)
