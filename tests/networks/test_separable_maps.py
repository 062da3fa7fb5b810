"""Gradients by matrix products against torch's own, on the CPU; on a GPU the same bits each time."""

import pytest
import torch
from torch.nn import functional as F

from segsweep.networks import separable_maps
from segsweep.networks.separable_maps import bilinear, grid_average, separable, upsample, upsample_corners

SIZES = [((7, 5), (28, 20)), ((33, 33), (129, 130)), ((23, 30), (360, 480)), ((9, 12), (4, 5)),
         ((1, 1), (6, 7)), ((6, 1), (1, 9)), ((5, 8), (5, 16)), ((1, 7), (3, 7)),
         ((17, 13), (1, 1))]  # fmt: skip


def interpolated(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def interpolated_by_corners(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


OPERATIONS = [
    pytest.param(upsample_corners, interpolated_by_corners, id="corners"),
    pytest.param(upsample, interpolated, id="bilinear"),
    pytest.param(F.adaptive_avg_pool2d, F.adaptive_avg_pool2d, id="grid"),
]


def gradients(operation, x, g):
    x = x.clone().requires_grad_()
    y = operation(x)
    return y, *torch.autograd.grad(y, x, g.to(y.dtype))


@pytest.mark.parametrize(("operation", "reference"), OPERATIONS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_value_and_gradient_are_those_of_torch(operation, reference, memory_format, before, after):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *before).contiguous(memory_format=memory_format)
    g = torch.randn(2, 3, *after).contiguous(memory_format=memory_format)
    value, gradient = gradients(lambda x: separable(x, operation, after), x, g)
    expected_value, expected = gradients(lambda x: reference(x, after), x, g)
    assert torch.equal(value, expected_value)
    assert gradient.shape == x.shape
    assert (gradient - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize(("operation", "reference"), OPERATIONS)
def test_first_and_second_derivatives(operation, reference):
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    for size in ((9, 3), (2, 11), (1, 4)):
        mapped = lambda x, size=size: separable(x, operation, size)  # noqa: E731
        assert torch.autograd.gradcheck(mapped, x)
        assert torch.autograd.gradgradcheck(mapped, x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_no_more_than_torch_does(dtype):
    """Measured against float64: the products are float32, also inside autocast."""
    torch.manual_seed(0)
    x, g = torch.randn(2, 3, 23, 30).to(dtype), torch.randn(2, 3, 129, 97).to(dtype)
    _, expected = gradients(lambda x: interpolated(x, (129, 97)), x.double(), g.double())
    _, torchs = gradients(lambda x: interpolated(x, (129, 97)), x, g)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, ours = gradients(lambda x: separable(x, upsample, (129, 97)), x, g)
    error, theirs = ((one.double() - expected).abs().max() for one in (ours, torchs))
    assert error <= 1.01 * theirs
    assert ours.dtype == dtype


# Dynamo looks at autograd functions in a way that torch itself warns of.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.slow
def test_compiled_whole(monkeypatch):
    monkeypatch.setattr(separable_maps, "exact_backward_wanted", lambda x: True)

    def network(x):
        return bilinear(grid_average(x, (3, 4)) * 2, (12, 17))

    torch.manual_seed(0)
    x, g = torch.randn(2, 3, 9, 11), torch.randn(2, 3, 12, 17)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    value, gradient = gradients(compiled, x, g)
    expected_value, expected = gradients(network, x, g)
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(gradient, expected)


def test_nothing_changes_on_the_cpu():
    """There torch's backward is deterministic already, and the bits of earlier runs stay."""
    x, g = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 9, 9)
    torch.use_deterministic_algorithms(True)
    try:
        for ours, theirs in ((bilinear, interpolated), (grid_average, F.adaptive_avg_pool2d)):
            got, expected = (gradients(lambda x, f=f: f(x, (9, 9)), x, g) for f in (ours, theirs))
            assert all(map(torch.equal, got, expected))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_same_bits_each_time_on_a_gpu(dtype, memory_format):
    """In strict mode, where torch's own backward is refused; within rounding of it."""
    x = torch.randn(8, 32, 33, 33, device="cuda").to(dtype, memory_format=memory_format)
    pairs = ((bilinear, interpolated, (129, 129)), (grid_average, F.adaptive_avg_pool2d, (8, 8)))
    for ours, theirs, size in pairs:
        g = torch.randn(8, 32, *size, device="cuda").to(dtype, memory_format=memory_format)
        _, expected = gradients(lambda x, f=theirs, size=size: f(x, size), x.double(), g.double())
        torch.use_deterministic_algorithms(True)
        try:
            (value, first), *more = (gradients(lambda x, f=ours, s=size: f(x, s), x, g) for _ in range(20))
        finally:
            torch.use_deterministic_algorithms(False)
        assert all(torch.equal(value, v) and torch.equal(first, d) for v, d in more)
        tolerance = 1e-5 if dtype == torch.float32 else 1e-2
        assert (first - expected).abs().max() <= tolerance * expected.abs().max()
