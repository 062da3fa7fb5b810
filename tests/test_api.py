"""segsweep.build: the command line's networks in Python."""

import pytest
import torch

import segsweep
from segsweep.errors import ConfigError
from segsweep.networks import Encoder, EncoderHead
from segsweep.networks.heads.ksac import Ksac


def shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def test_it_is_the_network_that_its_classes_make():
    built = segsweep.build("head=ksac", "head.rates=[1,2]", "backbone=resnet18", num_classes=5, size=[32, 32])
    body = Encoder("resnet18")
    assert shapes(built) == shapes(EncoderHead(body, Ksac(body.channels, body.reductions, 5, rates=(1, 2))))
    with torch.no_grad():
        assert built.eval()(torch.zeros(1, 3, 33, 47)).shape == (1, 5, 33, 47)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["head=ksak"], "head=ksak: no such choice; did you mean ksac?"),
        (["head=ksac", "head.rate=3"], "head.rate: no head has such an option; did you mean rates"),
        (["lr=3"], "lr: no such option; did you mean optimizer.lr?"),
        (["head"], "head: expected key=value"),
        (["-m"], "-m: expected key=value"),
        (["head=aspp,ksac"], "head=aspp,ksac: several values"),
        (["stages=ksac_voc"], "segsweep.build makes one network"),
        (["num_classes=x"], "num_classes=x: "),
        (["head=ksac", "head.width=-1"], "head.width=-1: "),
    ],
)
def test_a_wrong_override_is_an_error_with_near_names(words, line):
    with pytest.raises(ConfigError) as error:
        segsweep.build(*words)
    assert str(error.value).startswith(line)
