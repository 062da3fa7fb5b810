"""The Triton kernels against torch's convolution, BatchNorm and autograd in float64.

The tests run on a GPU where there is one. Without, they run again in a process of Triton's interpreter, which
computes the same kernels with numpy on the CPU: it must be chosen before Triton is imported.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from segsweep.networks import shared_kernel
from segsweep.networks import shared_kernel_norm as norm
from segsweep.networks import shared_kernel_triton as op
from segsweep.networks.shared_kernel import SharedAtrousConv

ROOT = Path(__file__).parents[2]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
in_triton = pytest.mark.skipif(
    not INTERPRETED and not (DEVICE == "cuda" and op.TRITON),
    reason="no GPU with Triton here; the interpreter's tests run in a process of their own",
)
RATES, CHANNELS, EPS = (2, 30, 2), 5, 1e-5
SIZE = (1, 5, 7) if DEVICE == "cpu" else (2, 33, 29)  # 35 pixels: a whole tile and a part
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1e-2}


@pytest.fixture(autouse=True)
def exactly(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def random(*shape: int, kind: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape).to(DEVICE, kind)


def reference_maps(x: torch.Tensor, matrices: torch.Tensor, rates) -> torch.Tensor:
    """The maps [R, B, H, W, D] as convolutions of x [B, H, W, C] with matrices [9·D, C]."""
    kernel = matrices.unflatten(0, (3, 3, -1)).permute(2, 3, 0, 1)
    maps = [F.conv2d(x.movedim(-1, 1), kernel, padding=rate, dilation=rate) for rate in rates]
    return torch.stack(maps).movedim(2, -1)


def assert_near(got: torch.Tensor, expected: torch.Tensor, kind: torch.dtype) -> None:
    assert got.shape == expected.shape
    assert (got.double() - expected).norm() <= TOLERANCE[kind] * expected.norm()


@in_triton
def test_maps_and_their_gradients_are_those_of_convolutions():
    x, matrices = random(2, 5, 7, 3).requires_grad_(), random(9 * 4, 3).requires_grad_()
    expected = reference_maps(x, matrices, (1, 3, 40))
    maps, mean, _ = op.shared_maps(x.detach(), matrices.detach(), (1, 3, 40), False)
    torch.testing.assert_close(maps, expected.detach())
    assert len(mean) == 0
    gradients = random(*maps.shape)
    found = op.shared_maps_backward(gradients, x.detach(), matrices.detach(), (1, 3, 40))
    torch.testing.assert_close(found, torch.autograd.grad(expected, (x, matrices), gradients))


@pytest.mark.parametrize(
    ("shape", "rates"), [((16, 33, 33), 5), ((16, 33, 33), 2), ((1, 8, 8), 1), ((3, 5, 7), 20)]
)
def test_tap_maps_that_exist_at_a_time_are_no_larger_than_the_maps(shape, rates):
    batch, height, width = shape
    cut = op.parts(shape, rates)
    assert cut.step % (height * width) == 0
    assert 9 * cut.step <= max(rates * batch, 9) * height * width
    assert cut.stop == batch * height * width


@in_triton
@pytest.mark.parametrize("fuse", [True, False])
def test_inference_is_relu_of_scaled_maps(fuse):
    x, matrices = random(*SIZE, 3), random(9 * CHANNELS, 3)
    scale, bias = random(2, len(RATES), CHANNELS)
    maps = reference_maps(x, matrices, RATES)
    expected = F.relu(maps * scale[:, None, None, None] + bias[:, None, None, None])
    got = op.shared_inference(x, matrices, RATES, scale, bias, fuse)
    torch.testing.assert_close(got, expected.sum(0) if fuse else expected)


@in_triton
@pytest.mark.parametrize(("kind", "fuse"), [(torch.float32, True), (torch.bfloat16, False)], ids=str)
def test_training_is_batch_norm_and_relu(kind, fuse):
    """Of the maps as they are stored: their own rounding is not of this step."""
    x, matrices = random(*SIZE, 3, kind=kind), random(9 * CHANNELS, 3, kind=kind)
    maps, mean, var = op.shared_maps(x, matrices, RATES, True)
    assert_near(maps, reference_maps(x.double(), matrices.double(), RATES), kind)
    weight, bias = (random(len(RATES), CHANNELS, kind=torch.float32).requires_grad_() for _ in range(2))
    leaves = (maps.requires_grad_(), weight, bias)
    output = norm.NormaliseReluSum.apply(maps, mean, var, weight, bias, EPS, fuse)
    gradient = random(*output.shape, kind=kind)
    output.backward(gradient)

    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = torch.stack(
        [
            F.relu(F.batch_norm(m.movedim(-1, 1), None, None, w, b, training=True, eps=EPS)).movedim(1, -1)
            for m, w, b in zip(*exact, strict=True)
        ]
    )
    expected = expected.sum(0) if fuse else expected
    expected.backward(gradient.double())
    assert output.dtype == kind
    assert_near(output, expected, kind)
    assert_near(mean, exact[0].mean((1, 2, 3)), torch.float32)
    assert_near(var, exact[0].var((1, 2, 3), correction=0), torch.float32)
    for leaf, exact_leaf in zip(leaves, exact, strict=True):
        assert leaf.grad.dtype == leaf.dtype
        assert_near(leaf.grad, exact_leaf.grad, kind)


@pytest.fixture
def on_gpu(monkeypatch):
    """The interpreter stands for a GPU."""
    if INTERPRETED:
        monkeypatch.setattr(shared_kernel, "available", lambda x: True)


@in_triton
@pytest.mark.parametrize(("mode", "fuse"), [("training", "sum"), ("frozen", "concat"), ("inference", "sum")])
def test_the_layer_is_that_of_branches(on_gpu, mode, fuse):
    plain = SharedAtrousConv(6, CHANNELS, RATES, fuse, "branches").to(DEVICE).train(mode == "training")
    for norm_layer in plain.norms:
        for values in (norm_layer.running_mean, norm_layer.weight, norm_layer.bias):
            torch.nn.init.normal_(values)
        torch.nn.init.uniform_(norm_layer.running_var, 0.5, 2)
    shared = copy.deepcopy(plain)
    shared.impl = "shared"
    x = random(2, 6, 5, 4, kind=torch.float32)
    results = []
    for layer in (plain, shared):
        leaf = x.clone().requires_grad_()
        with torch.set_grad_enabled(mode != "inference"):
            maps = layer(leaf)
        found = [*maps, *layer.buffers()]
        if mode != "inference":
            found += torch.autograd.grad(sum(m.square().sum() for m in maps), [leaf, *layer.parameters()])
        results.append(found)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@in_triton
def test_variance_of_maps_far_from_zero():
    """E[x²] − E[x]² has no digit left in float32 at a mean of 10⁴ deviations; combined tiles keep some.

    Five images are multiplied as two, two and one, each with a tile that is not full.
    """
    x, matrices = random(5, 5, 7, 1, kind=torch.float32) + 1e4, torch.ones(9, 1, device=DEVICE)
    maps, _, var = op.shared_maps(x, matrices, (40,) * 4, True)
    assert len(op.parts(x.shape[:3], 4)) == 3
    torch.testing.assert_close(var.double(), maps.double().var((1, 2, 3), correction=0), rtol=1e-3, atol=0)


@in_triton
def test_a_value_that_is_not_a_number_stays():
    x, matrices = torch.full((1, 3, 3, 1), torch.nan, device=DEVICE), torch.ones(9, 1, device=DEVICE)
    ones = torch.ones(1, 1, device=DEVICE)
    assert op.shared_inference(x, matrices, (9,), ones, ones, True).isnan().all()
    maps = op.shared_maps(x, matrices, (9,), True)
    assert norm.normalise_relu_sum(*maps, ones, ones, EPS, True).isnan().all()


@in_triton
def test_a_second_derivative_is_refused(on_gpu):
    layer = SharedAtrousConv(1, 1, (1,), "sum", "shared").to(DEVICE)
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(
            layer(torch.ones(2, 1, 1, 1, device=DEVICE))[0].sum(), layer.kernel, create_graph=True
        )


@in_triton
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch's compiler
def test_compiles_to_one_graph(on_gpu):
    layer = SharedAtrousConv(3, CHANNELS, RATES, "sum", "shared").to(DEVICE)
    x = random(*SIZE, 3, kind=torch.float32).movedim(-1, 1)
    results = []
    for network in (copy.deepcopy(layer), torch.compile(layer, fullgraph=True, backend="aot_eager")):
        leaf = x.clone().requires_grad_()
        (output,) = network(leaf)
        gradients = torch.autograd.grad(output.square().sum(), [leaf, *network.parameters()])
        results.append([output, *gradients, *network.buffers()])
    torch.testing.assert_close(*results)


@in_triton
@pytest.mark.slow
def test_operators_keep_torchs_rules():
    x, matrices = random(2, 2, 3, 3, kind=torch.float32), random(18, 3, kind=torch.float32)
    scale, bias = random(2, 2, 2, kind=torch.float32)
    maps, mean, var = op.shared_maps(x, matrices, (1, 2), True)
    cases = {
        op.shared_maps: (x, matrices, (1, 2), True),
        op.shared_maps_backward: (maps, x, matrices, (1, 2)),
        op.shared_inference: (x, matrices, (1, 2), scale, bias, True),
        norm.normalise_relu_sum: (maps, mean, var, scale, bias, EPS, True),
        norm.normalise_relu_sum_backward: (maps[0], maps, mean, var, scale, bias, EPS),
    }
    for operator, arguments in cases.items():
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def run_interpreted(marks: str) -> None:
    # The interpreter stands in for a GPU; what is compiled for one needs Triton as it is.
    options = ["-m", marks, "-k", "not interpreter and not for_a_gpu", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", __file__, "--noconftest", *options]
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


in_another_process = pytest.mark.skipif(INTERPRETED or not op.TRITON, reason="no Triton, or its interpreter")


@in_another_process
def test_in_tritons_interpreter():
    run_interpreted("not slow")


@in_another_process
@pytest.mark.slow
def test_in_tritons_interpreter_compiled():
    run_interpreted("slow")


@pytest.mark.skipif(not op.TRITON, reason="no Triton")
def test_a_cpu_tensor_is_not_for_triton():
    assert not op.available(torch.zeros(1))


@pytest.mark.slow
@pytest.mark.skipif(not op.TRITON or INTERPRETED, reason="no Triton, or its interpreter")
@pytest.mark.parametrize("kind", ["bf16", "fp32"])
def test_kernels_compile_for_a_gpu(kind):
    """Triton's compiler needs no GPU, and refuses what its interpreter allows: a type changed in a loop."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from segsweep.networks import shared_kernel_jit as jit

    constants = {
        "C": 256,
        "RATES": (1, 6),
        "R": 2,
        "FUSE": True,
        "STEPS": 8,
        "ROWS": 128,
        "TYPE": jit.FLOAT32,
    }
    constants |= {"PIXELS": op.PIXELS, "CHANNELS": op.CHANNELS}
    sizes = dict.fromkeys(jit.SIZES, "i32") | {"eps": "fp32"}
    images = dict.fromkeys(["taps", "maps", "gradients", "gradient", "output"], f"*{kind}")
    for kernel in (value for value in vars(jit).values() if getattr(value, "do_not_specialize", None)):
        names = kernel.arg_names
        types = {n: "constexpr" if n in constants else sizes.get(n) or images.get(n, "*fp32") for n in names}
        fixed = {(names.index(n),): constants[n] for n in names if n in constants}
        compiled = compile(ASTSource(kernel, types, fixed), target=GPUTarget("cuda", 90, 32))
        assert compiled.asm["cubin"]
