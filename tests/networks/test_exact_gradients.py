"""On a GPU: each head with its losses under torch's strict mode, which refuses what is not deterministic.

tests/execution/test_exact_on_gpu.py trains whole runs; docs/reliability.md lists the operations.
"""

from collections.abc import Iterator

import pytest
import torch

from segsweep.build import build_segmenter
from segsweep.config.groups import choices, own_options
from segsweep.training.losses import CrossEntropy, Ohem
from tests.support.composing import composed, configuration

CLASSES = 19
LOSSES = [CrossEntropy(), CrossEntropy([1.0] * CLASSES), Ohem(), Ohem(class_weights=[1.0] * CLASSES)]


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
    options = {"aux": "[1,2,3,4]", "aux_target": "features_up"}
    shipped = [f"head.{key}={value}" for key, value in options.items() if key in own_options("head", head)]
    with configuration():
        config = composed(f"head={head}", f"backbone={backbone}", f"num_classes={CLASSES}", *shipped).config
    torch.manual_seed(0)
    network = build_segmenter(config).cuda().to(memory_format=torch.channels_last).train()
    image = torch.randint(0, 256, (4, 3, 129, 161), dtype=torch.uint8, device="cuda")
    label = torch.randint(0, CLASSES, (4, 129, 161), dtype=torch.uint8, device="cuda")
    label[:, :9] = 255

    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(1)
        network.zero_grad()
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            logits, auxiliary = network.forward_train(image)
        sum(loss.cuda()(logits, label, auxiliary) for loss in LOSSES).backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    first, *others = (gradients() for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
