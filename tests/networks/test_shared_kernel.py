"""The shared kernel against Algorithm 1 of the KSAC paper, written out pixel by pixel."""

import numpy as np
import pytest
import torch

from segsweep.networks.heads.ksac import Ksac
from segsweep.networks.shared_kernel import SharedAtrousConv


def atrous_conv(image: np.ndarray, kernel: np.ndarray, rate: int) -> np.ndarray:
    """[C, H, W] and [O, C, 3, 3] → [O, H, W]: the sum over nine taps, zero outside the map."""
    _, height, width = image.shape
    out = np.zeros((kernel.shape[0], height, width))
    for y in range(height):
        for x in range(width):
            for i in range(3):
                for j in range(3):
                    v, u = y + (i - 1) * rate, x + (j - 1) * rate
                    if 0 <= v < height and 0 <= u < width:
                        out[:, y, x] += kernel[:, :, i, j] @ image[:, v, u]
    return out


def algorithm_1(image, kernel, norms, rates):
    """Σ_r ReLU(BN_r(conv(T, r, K))) with BatchNorm on running statistics."""
    total = 0
    for rate, norm in zip(rates, norms, strict=True):
        mean, var = norm.running_mean.numpy(), norm.running_var.numpy()
        gamma, beta = norm.weight.detach().numpy(), norm.bias.detach().numpy()
        scale = (gamma / np.sqrt(var + norm.eps))[:, None, None]
        maps = (atrous_conv(image, kernel, rate) - mean[:, None, None]) * scale + beta[:, None, None]
        total = total + np.maximum(maps, 0)
    return total


@pytest.mark.parametrize("rates", [(1,), (2, 3), (1, 2, 4, 6, 30)])
def test_equals_algorithm_1(rates):
    torch.manual_seed(0)
    op = SharedAtrousConv(5, 4, rates).eval()
    for norm in op.norms:
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    image = torch.randn(1, 5, 9, 7)
    expected = algorithm_1(image[0].numpy(), op.kernel.detach().numpy(), op.norms, rates)
    got = sum(op(image))[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_kernel_gets_the_sum_of_the_rates_gradients():
    torch.manual_seed(0)
    rates = (1, 2, 3)
    image = torch.randn(2, 5, 9, 9)
    shared = SharedAtrousConv(5, 4, rates)
    sum(maps.square().mean() for maps in shared(image)).backward()
    alone = torch.zeros_like(shared.kernel)
    for rate in rates:
        one = SharedAtrousConv(5, 4, (rate,))
        one.kernel.data.copy_(shared.kernel.data)
        one(image)[0].square().mean().backward()
        alone += one.kernel.grad
    torch.testing.assert_close(shared.kernel.grad, alone)


def test_sum_and_concat_differ_in_the_projection_only():
    """With a projection that repeats the weights of the sum for each rate, both readings give one result."""
    torch.manual_seed(0)
    channels, reductions = [8, 12], [4, 16]
    summed = Ksac(channels, reductions, 3, rates=(1, 2), width=6, dropout=0).eval()
    concatenated = Ksac(channels, reductions, 3, rates=(1, 2), width=6, fuse="concat", dropout=0).eval()
    state = summed.state_dict()
    weight = state["context.project.0.weight"]
    state["context.project.0.weight"] = torch.cat([weight[:, :12], weight[:, 6:]], dim=1)
    concatenated.load_state_dict(state)
    features = [torch.randn(1, 8, 16, 16), torch.randn(1, 12, 4, 4)]
    torch.testing.assert_close(summed(features), concatenated(features))
