"""Whole networks against segmentation-models-pytorch's DeepLabV3+ on the same timm encoder.

    python -m benchmarks.networks [--encoders mobilenetv2 resnet18 resnet50] [--size 368x480] [--batch 2]

Both take the same uint8 images, normalise them on the device, and give logits at the image's size, at output
stride 16, in one precision and memory layout. Inference here is that of tests, with BatchNorm folded into the
convolutions. A training step is forward pass, cross entropy, backward pass and SGD. Weights are random. The
size must be a multiple of 16, which segmentation-models-pytorch asks for. `--graph` times both on a GPU as
CUDA graphs, without what Python takes to launch kernels. Wanted: training not slower than DeepLabV3+ on a CPU
(at least 1.3 times as fast on a GPU), inference with KSAC at least 1.2 times as fast (1.5).
"""

from argparse import Namespace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.report import Row, keep, parser, report
from benchmarks.timing import as_cuda_graph, interleaved, peak_mib
from segsweep.builders import build_segmenter
from segsweep.networks.folding import folded
from segsweep.planning.compose import compose

CLASSES = 11
ENCODERS = {
    "mobilenetv2": ("mobilenetv2_100", ["backbone=mobilenetv2"]),
    "resnet18": ("resnet18", ["backbone=resnet18"]),
    "resnet50": ("resnet50", ["backbone=resnet101", "backbone.name=resnet50"]),
}
HEADS = {
    "KSAC": ["head=ksac"],
    "KSAC, 5 rates": ["head=ksac", "head.rates=[1,6,12,18,24]"],
    "ASPP": ["head=aspp"],
    "DeepLabV3+": ["head=deeplabv3plus"],
}
PEER = "smp DeepLabV3+"


class Peer(nn.Module):
    """DeepLabV3+ of segmentation-models-pytorch, fed with bytes as a Segmenter is."""

    def __init__(self, encoder: str) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        options = {"encoder_weights": None, "encoder_output_stride": 16, "classes": CLASSES}
        self.network = smp.DeepLabV3Plus(f"tu-{encoder}", **options)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.network((image.float() - self.mean) / self.std)


def ours(encoder: str, head: str) -> nn.Module:
    """A Segmenter with random weights."""
    words = [*ENCODERS[encoder][1], "backbone.output_stride=16", *HEADS[head], f"num_classes={CLASSES}"]
    (member,) = compose("profile", words)
    return build_segmenter(member.config, load_weights=False)


class Step:
    """Inference and training step of one network."""

    def __init__(self, network: nn.Module, options: Namespace) -> None:
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        where = {"device": options.device, "memory_format": layout}
        self.network, self.inferring = network.to(**where), folded(network).to(**where)
        if options.compile:
            self.network.compile()
            self.inferring.compile()
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=4e-5)
        height, width = map(int, options.size.split("x"))
        made = {"dtype": torch.uint8, "device": options.device}
        image = torch.randint(0, 256, (options.batch, 3, height, width), **made)
        self.image = image.contiguous(memory_format=layout)
        self.label = torch.randint(0, CLASSES, (options.batch, height, width), **made).long()
        bf16 = options.precision == "bf16"
        self.precision = partial(torch.autocast, options.device, torch.bfloat16, enabled=bf16)

    def inference(self) -> None:
        self.inferring.eval()
        with torch.inference_mode(), self.precision():
            self.inferring(self.image)

    def training(self) -> None:
        self.network.train()
        with self.precision():
            loss = F.cross_entropy(self.network(self.image), self.label, ignore_index=255)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def rows(encoder: str, options: Namespace) -> list[Row]:
    """One row for each head, and the peer."""
    torch.manual_seed(0)
    steps = {head: Step(ours(encoder, head), options) for head in options.heads}
    steps[PEER] = Step(Peer(ENCODERS[encoder][0]), options)
    how = options.device, options.seconds
    ready = as_cuda_graph if options.graph else lambda call: call
    inference = interleaved({name: ready(step.inference) for name, step in steps.items()}, *how)
    training = interleaved({name: ready(step.training) for name, step in steps.items()}, *how)
    return [
        {
            "encoder": encoder,
            "network": name,
            "params (M)": sum(p.numel() for p in step.network.parameters()) / 1e6,
            "inference (ms)": 1000 * inference.median(name),
            "times as fast": inference.ratio(PEER, name),
            "training step (ms)": 1000 * training.median(name),
            "times as fast in training": training.ratio(PEER, name),
            "training memory (MiB)": peak_mib(step.training, options.device),
        }
        for name, step in steps.items()
    ]


def main() -> None:
    options = parser(__doc__, "networks", seconds=3)
    options.add_argument("--encoders", nargs="*", default=list(ENCODERS), choices=ENCODERS)
    options.add_argument("--heads", nargs="*", default=list(HEADS), choices=HEADS)
    options.add_argument("--size", default="368x480")
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--precision", choices=("32", "bf16"), default="32")
    options.add_argument("--channels-last", action="store_true")
    options.add_argument("--compile", action="store_true")
    options.add_argument("--graph", action="store_true", help="as CUDA graphs")
    asked = options.parse_args()
    torch.backends.cudnn.benchmark = True
    layout = "channels last" if asked.channels_last else "channels first"
    compiled = ", compiled" * asked.compile + ", CUDA graphs" * asked.graph
    title = f"{asked.batch}×{asked.size}, precision {asked.precision}, {layout}{compiled}, {asked.device}"
    found: list[Row] = []
    for encoder in asked.encoders:
        found += rows(encoder, asked)
        keep(asked, {title: found})
    report(asked, {title: found})


if __name__ == "__main__":
    main()
