"""Every whole network in conf/network, a newcomer's too, over sizes and modes."""

import pytest
import torch

from segsweep.builders import build_segmenter
from segsweep.config.groups import choices, own_options
from segsweep.execution.test import load_network
from segsweep.networks.whole.whole_network import WholeNetwork
from tests.support.composing import composed, configuration

NETWORKS = choices("network")
WITH_VARIANTS = [
    *NETWORKS,
    *(f"{name} network.variant=b" for name in NETWORKS if "variant" in own_options("network", name)),
]
SIZES = [(33, 33), (65, 97), (128, 128)]
CLASSES = 3


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with configuration():
        yield


def configured(network: str, *overrides: str):
    return composed(*f"network={network}".split(), f"num_classes={CLASSES}", *overrides).config


def build(network: str, *overrides: str) -> WholeNetwork:
    torch.manual_seed(0)
    built = build_segmenter(configured(network, *overrides))
    assert isinstance(built, WholeNetwork)
    return built


def every_tap(network: str) -> str:
    with torch.device("meta"):
        return f"network.aux={list(range(1, 1 + len(build(network).own_channels)))}"


def images(size, batch: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)


def train(network: WholeNetwork, image: torch.Tensor) -> None:
    """Shapes, and finite gradients for every parameter: one without would stop distributed training."""
    network.train().zero_grad()
    logits, auxiliary = network.forward_train(image)
    assert logits.shape == (len(image), CLASSES, *image.shape[-2:])
    assert len(auxiliary) == len(network.own_channels)
    sum(maps.square().mean() for maps in (logits, *auxiliary.values())).backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert [name for name, one in gradients.items() if one is None or not one.isfinite().all()] == []


@pytest.mark.parametrize("name", WITH_VARIANTS)
def test_any_size_gives_logits_of_that_size_and_gradients_everywhere(name):
    network = build(name, every_tap(name))
    train(network, images(SIZES[0], batch=2))
    train(network, images(SIZES[1]))
    with torch.no_grad():
        network.eval()
        assert all(network(images(size)).shape == (1, CLASSES, *size) for size in SIZES)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_size_that_divides_evenly_is_left_alone(name):
    """The logits are at the network's own stride; maps of its own at theirs."""
    with torch.device("meta"):
        network = build(name, every_tap(name))
        image = torch.empty(2, 3, 128, 64, dtype=torch.uint8)
        _, auxiliary = network.train().forward_train(image)
        height, width = network.logits(image).shape[-2:]
    assert height == 2 * width
    assert 128 % height == 0
    assert all(maps.shape[-2] == 2 * maps.shape[-1] < 128 for maps in auxiliary.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_branches_change_nothing_of_the_network_that_they_train(name, tmp_path):
    """Same seed, same weights; what was trained with branches is tested without, with the same logits."""
    plain, tapped = build(name).state_dict(), build(name, "network.aux=[1]")
    state = tapped.state_dict()
    more = {key for key in state if key not in plain}
    assert more == {key for key in state if key.startswith("auxiliary.")}
    assert more != set()
    assert all(torch.equal(value, state[key]) for key, value in plain.items())
    torch.save({"state_dict": {f"segmenter.{k}": v for k, v in state.items()}}, tmp_path / "last.ckpt")
    loaded = load_network(configured(name, "network.aux=[1]"), tmp_path / "last.ckpt", None).eval()
    image = images((33, 47))
    assert torch.equal(loaded(image), tapped.eval()(image))
