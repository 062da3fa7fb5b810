"""One product for all rates, against a dilated convolution of torch's for each."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsweep.errors import ConfigError
from segsweep.networks import shifted_adds
from segsweep.networks.heads.ksac import Ksac
from segsweep.networks.shared_kernel import (
    SharedAtrousConv,
    branches,
    shared_atrous_conv2d,
    shares_product,
)
from segsweep.profiling.size import LiveStorages

RATES = [(1,), (2, 3), (6, 12, 18), (1, 2, 4, 9, 40), (3, 3), (30, 40)]
SIZES = [(9, 7), (1, 1), (1, 12), (20, 3), (33, 33)]


def tensors(size=(9, 7), batch=2, channels=5, out=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(size))
    x = torch.randn(batch, channels, *size, generator=generator, dtype=dtype)
    return x, torch.randn(out, channels, 3, 3, generator=generator, dtype=dtype)


def convolutions(x, weight, rates):
    return [F.conv2d(x, weight, padding=rate, dilation=rate) for rate in rates]


def assert_close(got, expected, relative=1e-5):
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= relative * other.abs().max()


@pytest.fixture(params=["channels and images apart", "images apart", "all at once"])
def chunk(request, monkeypatch):
    """How many products exist at a time."""
    monkeypatch.setattr(shifted_adds, "CHUNK", 2**24 if request.param == "all at once" else 1)
    monkeypatch.setattr(shifted_adds, "LEAST_CHANNELS", 3 if "channels" in request.param else 64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rates", RATES)
def test_maps_and_gradients_are_those_of_dilated_convolutions(rates, size, chunk):
    x, weight = (tensor.requires_grad_() for tensor in tensors(size, batch=3))
    maps, expected = shared_atrous_conv2d(x, weight, rates), convolutions(x, weight, rates)
    assert_close(maps, expected)
    towards = [torch.randn_like(one) for one in expected]
    got = torch.autograd.grad(maps, (x, weight), towards)
    assert_close(got, torch.autograd.grad(expected, (x, weight), towards))


@pytest.mark.parametrize(("rates", "size"), [((1, 2, 9), (5, 4)), ((2,), (3, 6)), ((7, 8), (4, 3))])
def test_gradients_by_differences(rates, size, chunk):
    x, weight = (t.requires_grad_() for t in tensors(size, channels=2, out=3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x, w: tuple(shared_atrous_conv2d(x, w, rates)), (x, weight))


def test_only_the_gradients_that_are_wanted_are_computed():
    x, weight = tensors()
    for wanted, fixed in (x, weight), (weight, x):
        wanted.requires_grad_(), fixed.requires_grad_(False)
        (got,) = torch.autograd.grad(
            sum(m.square().sum() for m in shared_atrous_conv2d(x, weight, (1, 3))), wanted
        )
        expected = sum(m.square().sum() for m in convolutions(x, weight, (1, 3)))
        assert_close([got], torch.autograd.grad(expected, wanted))


def test_a_map_that_nothing_uses_has_no_gradient_to_give():
    x, weight = (tensor.requires_grad_() for tensor in tensors())
    shared_atrous_conv2d(x, weight, (1, 2, 3))[1].sum().backward()
    (expected,) = torch.autograd.grad(convolutions(x, weight, (2,))[0].sum(), weight)
    assert_close([weight.grad], [expected])


def test_a_second_derivative_is_refused_in_words():
    x, weight = (tensor.requires_grad_() for tensor in tensors())
    (first,) = torch.autograd.grad(
        sum(m.square().sum() for m in shared_atrous_conv2d(x, weight, (1, 2))), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_an_empty_batch_gives_empty_maps():
    x, weight = tensors(batch=0)
    assert [m.shape for m in shared_atrous_conv2d(x, weight, (1, 2))] == [(0, 4, 9, 7)] * 2


def test_taps_off_the_map_for_all_rates_are_not_computed():
    assert shifted_adds.live_taps((6, 12), 33, 33) == tuple(range(9))
    assert shifted_adds.live_taps((6, 12), 4, 33) == (3, 4, 5)
    assert shifted_adds.live_taps((6, 12), 33, 6) == (1, 4, 7)
    assert shifted_adds.live_taps((40, 50), 33, 33) == (4,)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_either_layout_of_the_input(layout):
    x, weight = tensors((12, 10))
    maps = shared_atrous_conv2d(x.to(memory_format=layout), weight, (1, 5))
    assert_close(maps, convolutions(x, weight, (1, 5)))
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in maps)


def test_under_autocast_sums_are_not_rounded_between_taps():
    x, weight = tensors((12, 10), channels=64)
    exact = convolutions(x.double(), weight.double(), (1, 5))
    with torch.autocast("cpu", torch.bfloat16):
        maps, plain = shared_atrous_conv2d(x, weight, (1, 5)), convolutions(x, weight, (1, 5))
    assert all(one.dtype == torch.bfloat16 for one in maps)
    for one, other, wanted in zip(maps, plain, exact, strict=True):
        assert (one - wanted).norm() <= 2 * (other - wanted).norm()


def test_gradients_under_autocast():
    x, weight = (tensor.requires_grad_() for tensor in tensors((12, 10)))
    with torch.autocast("cpu", torch.bfloat16):
        maps = shared_atrous_conv2d(x, weight, (1, 5))
    sum(m.float().square().sum() for m in maps).backward()
    expected = torch.autograd.grad(
        sum(m.square().sum() for m in convolutions(x, weight, (1, 5))), (x, weight)
    )
    assert weight.grad.dtype == torch.float32
    assert_close([x.grad, weight.grad], expected, relative=0.03)


def test_a_compiled_program_is_the_same():
    x, weight = (tensor.requires_grad_() for tensor in tensors((9, 7)))
    compiled = torch.compile(shared_atrous_conv2d, backend="aot_eager", fullgraph=True)
    maps, expected = compiled(x, weight, (1, 3, 20)), convolutions(x, weight, (1, 3, 20))
    assert_close(maps, expected)
    got = torch.autograd.grad(sum(m.square().sum() for m in maps), (x, weight))
    assert_close(got, torch.autograd.grad(sum(m.square().sum() for m in expected), (x, weight)))


@pytest.mark.parametrize("impl", ["auto", "shared", "branches"])
def test_an_exported_program_takes_any_size(impl):
    op = SharedAtrousConv(5, 4, (1, 6), fuse="sum", impl=impl).eval()
    side = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        op, (torch.randn(2, 5, 9, 13),), dynamic_shapes=({0: side, 2: side, 3: side},)
    )
    for size in (9, 13), (5, 4), (33, 20):
        x = torch.randn(3, 5, *size)
        assert_close(program.module()(x), op(x))


def pair(fuse="sum", rates=(1, 2, 9), **options):
    """Two modules of the same weights, the product forced on one and the branches on the other."""
    torch.manual_seed(0)
    shared = SharedAtrousConv(5, 4, rates, fuse, "shared")
    for norm in shared.norms:
        nn.init.normal_(norm.bias), nn.init.uniform_(norm.weight, -1, 2)
        nn.init.normal_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2)
    plain = copy.deepcopy(shared)
    plain.impl = "branches"
    return shared, plain


@pytest.mark.parametrize("fuse", ["sum", "concat"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_the_module_is_the_same_either_way(fuse, training, gradients, chunk):
    shared, plain = (module.train(training) for module in pair(fuse))
    with torch.set_grad_enabled(gradients):
        x = tensors((12, 10), batch=3)[0]
        assert_close(shared(x), plain(x))
    for one, other in zip(shared.norms, plain.norms, strict=True):
        torch.testing.assert_close(one.running_var, other.running_var)


def test_a_frozen_batchnorm_takes_part_in_training():
    shared, plain = (module.eval() for module in pair())
    x = tensors((12, 10))[0]
    for module in shared, plain:
        module(x)[0].square().sum().backward()
    assert_close([shared.kernel.grad], [plain.kernel.grad])


def test_inference_under_autocast():
    shared, plain = (module.eval() for module in pair())
    x = tensors((12, 10))[0]
    with torch.inference_mode():
        (exact,) = plain(x)
        with torch.autocast("cpu", torch.bfloat16):
            (got,), (expected,) = shared(x), plain(x)
    assert got.dtype == expected.dtype == torch.bfloat16
    assert (got - exact).norm() <= 2 * (expected - exact).norm()


def test_a_curve_of_50_steps_is_the_same_either_way():
    curves = []
    for impl in "shared", "branches":
        torch.manual_seed(0)
        head = Ksac([8, 12], [4, 16], 3, rates=(1, 2), width=6, dropout=0, impl=impl)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.05, momentum=0.9)
        features = [torch.randn(4, 8, 16, 16), torch.randn(4, 12, 4, 4)]
        labels, losses = torch.randint(3, (4, 4, 4)), []
        for _ in range(50):
            optimizer.zero_grad()
            loss = F.cross_entropy(head(features), labels)
            loss.backward(), optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0][-1] < 0.5 * curves[0][0]
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_an_older_checkpoint_loads():
    names = list(Ksac([8, 12], [4, 16], 3, rates=(1, 2), width=6).context.shared.state_dict())
    assert names[0] == "kernel"
    assert {name.split(".", 2)[-1] for name in names[1:]} == set(nn.BatchNorm2d(1).state_dict())


def test_the_rule_keeps_the_branches_where_they_are_faster():
    wide, narrow = torch.empty(1, 320, 33, 33), torch.empty(1, 24, 33, 33)
    assert shares_product(wide, (6, 12, 18))
    assert not shares_product(wide, (6,))
    assert not shares_product(narrow, (6, 12, 18))
    assert not shares_product(wide.to("meta"), (6, 12, 18))
    assert not shares_product(wide[..., :4, :4], (6, 12))


def test_an_unknown_way_is_named():
    with pytest.raises(ConfigError, match="impl=fast: did you mean auto"):
        SharedAtrousConv(5, 4, (1,), impl="fast")


def test_the_branches_are_algorithm_1():
    x, weight = tensors()
    assert_close(branches(x, weight, (1, 2)), convolutions(x, weight, (1, 2)))


@pytest.mark.parametrize(("channels", "batch"), [(96, 1), (320, 1), (48, 4)])
def test_tensors_in_training_need_no_more_memory_than_a_convolution_for_each_rate(channels, batch):
    x, weight = (tensor.requires_grad_() for tensor in tensors((23, 23), batch, channels, 256))
    peaks = []
    for convolve in shared_atrous_conv2d, branches:
        with LiveStorages() as live:
            maps = convolve(x, weight, (1, 6, 12, 18, 24))
            torch.autograd.grad(maps, (x, weight), [torch.ones_like(one) for one in maps])
        peaks.append(live.peak)
        del maps
    assert peaks[0] <= peaks[1]


@pytest.mark.parametrize(("channels", "size"), [(96, 33), (320, 23)])
def test_the_layer_in_training_needs_no_more_memory_than_branches(channels, size):
    x, peaks = torch.randn(1, channels, size, size).to(memory_format=torch.channels_last), []
    for impl in "shared", "branches":
        layer = SharedAtrousConv(channels, 256, (1, 6, 12, 18, 24), "sum", impl)
        layer.to(memory_format=torch.channels_last)
        with LiveStorages() as live:
            (output,) = layer(x.detach().requires_grad_())
            output.sum().backward()
        peaks.append(live.peak)
        del output
    assert peaks[0] <= peaks[1]


GROWTH = """
import resource, sys, torch
from segsweep.networks.shared_kernel import branches, shared_atrous_conv2d
torch.set_num_threads(1)
channels, convolve = int(sys.argv[1]), {"branches": branches, "shared": shared_atrous_conv2d}[sys.argv[2]]

def train(channels, width):
    x, weight = torch.randn(1, channels, 17, 17), torch.randn(width, channels, 3, 3)
    x, weight = (one.to(memory_format=torch.channels_last).requires_grad_() for one in (x, weight))
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
    maps = convolve(x, weight, (1, 6, 12))
    torch.autograd.backward(maps, [torch.ones_like(one) for one in maps])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

train(8, 8)  # what libraries allocate once
print(train(channels, 128))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident size as Linux counts it")
@pytest.mark.parametrize("channels", [64, pytest.param(1024, marks=pytest.mark.slow)])
def test_a_process_in_training_grows_no_more_than_with_a_convolution_for_each_rate(channels):
    """The largest resident size, with what torch's libraries allocate inside an operator."""
    grown = []
    for way in "shared", "branches":
        # Freed memory goes back to the system at once, so that the size is what is in use.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        command = [sys.executable, "-c", GROWTH, str(channels), way]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        grown.append(int(found.stdout))
    assert 0 < grown[0] <= grown[1]
