"""Each head and whole network with its losses: no operation whose gradient is not deterministic on a GPU.

On a GPU in torch's strict mode, which refuses such operations; elsewhere by the names in the autograd graph.
tests/execution/test_exact_on_gpu.py trains whole runs; docs/reliability.md explains the operations.
"""

from collections.abc import Iterator

import pytest
import torch

from segsweep.builders import build_segmenter
from segsweep.config.groups import choices, own_options
from segsweep.config.schema import RunConfig
from segsweep.networks import separable_maps
from segsweep.training.losses import CrossEntropy, Ohem, SegmentationLoss
from tests.support.composing import composed, configuration

CLASSES = 19
# Their CUDA kernels sum in a fixed order, by torch's documentation or sources.
DETERMINISTIC = {
    "AccumulateGrad", "AddBackward0", "CatBackward0", "ConstantPadNdBackward0",
    "ConvolutionBackward0", "DivBackward0", "EluBackward0", "EluBackward1", "ExpandBackward0",
    "HardsigmoidBackward0", "HardswishBackward0", "HardtanhBackward0", "LogSoftmaxBackward0",
    "MaxPool2DWithIndicesBackward0", "MeanBackward1", "MulBackward0", "NativeBatchNormBackward0",
    "NllLoss2DBackward0", "PreluKernelBackward0", "ReluBackward0", "SeparableMapBackward", "SliceBackward0",
    "StackBackward0", "SumBackward0", "SumBackward1", "UnsqueezeBackward0", "ViewBackward0", "WhereBackward0",
    # Products of matrices, shapes, and what is done number by number:
    "AddmmBackward0", "BmmBackward0", "MmBackward0", "TBackward0", "TransposeBackward0", "PermuteBackward0",
    "UnsafeViewBackward0", "MeanBackward0", "CloneBackward0", "SelectBackward0",
    "ClampMinBackward0", "PowBackward0", "SigmoidBackward0", "SubBackward0", "SoftmaxBackward0",
    "LinalgVectorNormBackward0", "AvgPool2DBackward0", "BinaryCrossEntropyWithLogitsBackward0",
    "UpsampleNearest2DBackward0",
}  # fmt: skip


def losses() -> list[SegmentationLoss]:
    weights = [1.0] * CLASSES
    return [CrossEntropy(), CrossEntropy(weights), Ohem(), Ohem(class_weights=weights)]


def configured(head: str, backbone: str, impl: str) -> RunConfig:
    options = {"aux": "[1,2,3]", "aux_target": "features_up", "impl": impl}
    shipped = [f"head.{key}={value}" for key, value in options.items() if key in own_options("head", head)]
    with configuration():
        return composed(f"head={head}", f"backbone={backbone}", f"num_classes={CLASSES}", *shipped).config


def whole(network: str) -> RunConfig:
    aux = "network.aux=[1]", "network.aux_target=features_up"
    with configuration():
        return composed(f"network={network}", f"num_classes={CLASSES}", *aux).config


def operations(result: torch.Tensor) -> set[str]:
    """The names of all that a result was computed by."""
    found, left = set(), [result.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in found:
            found.add(node)
            left += [before for before, _ in node.next_functions]
    # The sum or mean that torch's own loss takes of its pixels is not deterministic.
    reduced = {"loss, reduced" for node in found if getattr(node, "_saved_reduction", 0)}
    return {node.name().split("::")[-1] for node in found} | reduced


@pytest.mark.parametrize("head", choices("head"))
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv3_small"])
def test_a_head_is_made_of_deterministic_operations(monkeypatch, head, backbone):
    """A newcomer's: look its operations up, see docs/reliability.md, and name them here."""
    check_operations(monkeypatch, configured(head, backbone, "branches"))


@pytest.mark.parametrize("network", choices("network"))
def test_a_whole_network_is_made_of_deterministic_operations(monkeypatch, network):
    check_operations(monkeypatch, whole(network))


def check_operations(monkeypatch, config: RunConfig) -> None:
    monkeypatch.setattr(separable_maps, "exact_backward_wanted", lambda x: True)
    with torch.device("meta"):
        network = build_segmenter(config).train()
        logits, auxiliary = network.forward_train(torch.empty(2, 3, 65, 97, dtype=torch.uint8))
        label = torch.empty(2, 65, 97, dtype=torch.uint8)
        found = {name for loss in losses() for name in operations(loss(logits, label, auxiliary))}
    assert "SeparableMapBackward" in found
    assert found - DETERMINISTIC == set()


@pytest.fixture
def strict(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv2", "xception65"])
@pytest.mark.parametrize("head", choices("head"))
def test_gradients_have_the_same_bits_each_time_on_a_gpu(strict, head, backbone, dtype):
    check_bits(configured(head, backbone, "auto"), dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("network", choices("network"))
def test_gradients_of_a_whole_network_have_the_same_bits_each_time_on_a_gpu(strict, network, dtype):
    check_bits(whole(network), dtype)


def check_bits(config: RunConfig, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = build_segmenter(config).cuda()
    network.to(memory_format=torch.channels_last).train()
    image = torch.randint(0, 256, (4, 3, 129, 161), dtype=torch.uint8, device="cuda")
    label = torch.randint(0, CLASSES, (4, 129, 161), dtype=torch.uint8, device="cuda")
    label[:, :9] = 255

    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(1)
        network.zero_grad()
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            logits, auxiliary = network.forward_train(image)
        sum(loss.cuda()(logits, label, auxiliary) for loss in losses()).backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    first, *others = (gradients() for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
