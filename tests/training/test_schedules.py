"""Rates per step against the formulas, and the groups they apply to."""

import math

import pytest
import torch

from segsweep.config.trainer import TrainerConfig
from segsweep.errors import ConfigError
from segsweep.networks import Encoder, EncoderHead
from segsweep.networks.heads.none import NoPyramid
from segsweep.training import optimizers, schedules


def rates(make, steps=20, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = make(optimizer, max_steps=steps, val_every=5, **options)
    assert schedule["interval"] == "step"
    seen = []
    for step in range(1, steps + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % schedule.get("frequency", 1) == 0:
            schedule["scheduler"].step()
    return seen


def test_poly():
    assert rates(schedules.poly, power=0.9) == pytest.approx([0.5 * (1 - k / 20) ** 0.9 for k in range(20)])


def test_cosine():
    want = [1e-3 + (0.5 - 1e-3) * (1 + math.cos(math.pi * k / 20)) / 2 for k in range(20)]
    assert rates(schedules.cosine, min_lr=1e-3) == pytest.approx(want)


def test_cosine_by_epochs_holds_the_rate_within_each():
    """Seven steps an epoch, of which the last is cut short by the end of the run."""
    epochs = [1e-3 + (0.5 - 1e-3) * (1 + math.cos(math.pi * k / 3)) / 2 for k in range(3)]
    found = rates(schedules.cosine, min_lr=1e-3, every=7)
    assert found == pytest.approx([rate for rate in epochs for _ in range(7)][:20])
    for every in (0, 21):
        with pytest.raises(ConfigError, match=rf"^every={every}"):
            rates(schedules.cosine, every=every)


def test_step():
    want = [0.5] * 10 + [0.05] * 5 + [0.005] * 5
    assert rates(schedules.step, milestones=[0.5, 0.75], gamma=0.1) == pytest.approx(want)
    with pytest.raises(ConfigError, match=r"^milestones"):
        rates(schedules.step, milestones=[500])


def test_staircase():
    assert rates(schedules.staircase, every=8, factor=0.5) == [0.5] * 8 + [0.25] * 8 + [0.125] * 4
    with pytest.raises(ConfigError, match=r"^every=0"):
        rates(schedules.staircase, every=0)


def test_plateau_halves_when_the_validation_loss_stays():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = schedules.plateau(optimizer, max_steps=20, val_every=5, factor=0.5, patience=1)
    assert (schedule["monitor"], schedule["frequency"]) == ("val_loss", 5)
    for loss in (1.0, 0.9, 0.95, 0.95):
        schedule["scheduler"].step(loss)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


@pytest.mark.parametrize("make", [optimizers.sgd, optimizers.adamw])
def test_given_weights_learn_at_their_own_rate(make, tmp_path):
    scratch = Encoder("resnet18")
    torch.save(scratch.body.state_dict(), tmp_path / "w.pt")
    given = Encoder("resnet18", weights=str(tmp_path / "w.pt"))
    for encoder, factor in ((scratch, 1), (given, 0.1)):
        network = EncoderHead(encoder, NoPyramid(encoder.channels, encoder.reductions, 2, width=4))
        optimizer = make(
            network, lr=0.2, weight_decay=1e-4, pretrained_lr_factor=0.1, pretrained_weight_decay_factor=0.1
        )
        settings = {
            id(p): (group["lr"], group["weight_decay"])
            for group in optimizer.param_groups
            for p in group["params"]
        }
        assert settings.keys() == {id(p) for p in network.parameters()}
        assert {settings[id(p)] for p in network.head.parameters()} == {(0.2, 1e-4)}
        assert {settings[id(p)] for p in encoder.parameters()} == {(0.2 * factor, 1e-4 * factor)}


RELEASED = ["*.layer?.*.conv?.weight", "*.layer?.*.downsample.0.weight"]


def test_the_tenth_may_apply_to_the_convolutions_of_the_stages_alone(tmp_path):
    """As in ATONet's released code: the stem's convolution and every BatchNorm learn at the full rate."""
    torch.save(Encoder("resnet18").body.state_dict(), tmp_path / "w.pt")
    encoder = Encoder("resnet18", weights=str(tmp_path / "w.pt"))
    network = EncoderHead(encoder, NoPyramid(encoder.channels, encoder.reductions, 2, width=4))
    factors = {"pretrained_lr_factor": 0.1, "pretrained_weight_decay_factor": 0.1}
    optimizer = optimizers.sgd(network, lr=0.2, weight_decay=1e-4, **factors, pretrained_parts=RELEASED)
    settings = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    convolutions = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 20  # ResNet-18's 17 and three shortcuts
    slow = {id(module.weight) for module in convolutions[1:]}
    assert len(settings) == len(list(network.parameters()))
    for parameter in network.parameters():
        factor = 0.1 if id(parameter) in slow else 1
        assert settings[id(parameter)] == pytest.approx((0.2 * factor, 1e-4 * factor))
    with pytest.raises(ConfigError, match=r"^pretrained_parts.*no parameter of the encoder is named layer9"):
        optimizers.sgd(network, lr=0.2, pretrained_parts=["layer9"])


def test_validations_end_with_the_run():
    found = [TrainerConfig(max_steps=n).val_interval() for n in (1, 7, 30, 500, 300_000)]
    assert found == [1, 7, 6, 100, 60_000]
    assert TrainerConfig(max_steps=30, val_every=100).val_interval() == 30
    with pytest.raises(ConfigError, match=r"val_every=30: .*max_steps=100.*one of \[10, 20, 25\]"):
        TrainerConfig(max_steps=100, val_every=30).val_interval()
