"""Parts that a stage leaves as they are: bit for bit, statistics included, while the rest is trained."""

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from segsweep import builders
from segsweep.errors import ConfigError
from segsweep.training.optimizers import freeze
from tests.support.composing import member
from tests.support.inside import BASE, checkpoint, different, fresh_weights, planned, run, weights

TWO = ("trainer.max_steps=2", "trainer.val_every=2", "optimizer.weight_decay=0.01")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def moved(tmp_path, parts: str, *overrides: str) -> tuple[set[str], set[str]]:
    """The tensors that training changed, and all that there are."""
    folder = planned(*TWO, f"runs_dir={tmp_path}", f"trainer.freeze={parts}", *overrides)
    before = fresh_weights(folder)
    run(folder)
    return set(different(before, weights(folder))), set(before)


def segmenter():
    return builders.build_segmenter(member(*BASE).config)


def batch_norm() -> set[str]:
    """Names of all tensors of BatchNorms."""
    norms = [(name, m) for name, m in segmenter().named_modules() if isinstance(m, _BatchNorm)]
    return {f"{name}.{key}" for name, module in norms for key in module.state_dict()}


def test_the_encoder(tmp_path):
    changed, names = moved(tmp_path, "[encoder]")
    frozen = {name for name in names if name.startswith("encoder.")}
    assert any(name.endswith("running_mean") for name in frozen)
    assert changed.isdisjoint(frozen)
    assert changed == {name for name in names if name.startswith("head.")}


def test_under_a_moving_average(tmp_path):
    """The average of equal weights is rounded; what is trained on is not."""
    folder = planned(*TWO, f"runs_dir={tmp_path}", "trainer.freeze=[encoder]", "trainer.ema_decay=0.9")
    before = fresh_weights(folder)
    run(folder)
    current, average = checkpoint(folder)["current_model_state"], weights(folder)
    for name in (name for name in before if name.startswith("encoder.")):
        assert torch.equal(current[f"segmenter.{name}"], before[name])
        torch.testing.assert_close(average[name], before[name], rtol=1e-6, atol=1e-7)


def test_batch_norm_everywhere(tmp_path):
    changed, names = moved(tmp_path, "[batch_norm]")
    assert changed.isdisjoint(batch_norm())
    assert changed == names - batch_norm() - {"mean", "std"}


def test_a_part_by_its_name(tmp_path):
    part = "encoder.body.conv_stem"
    assert part in dict(segmenter().named_modules())
    changed, names = moved(tmp_path, f"[{part},head.context]")
    frozen = {name for name in names if name.startswith((f"{part}.", "head.context."))}
    assert {name.rpartition(".")[2] for name in frozen} >= {"weight", *STATISTICS}
    assert changed == names - frozen - {"mean", "std"}


def test_without_a_wish_all_of_it_moves(tmp_path):
    changed, names = moved(tmp_path, "null")
    assert changed == names - {"mean", "std"}


def test_frozen_parts_are_no_burden_on_the_optimizer():
    """They have no gradient, so that neither weight decay nor momentum touches them."""
    network = segmenter()
    freeze(network, ["encoder"])
    network(torch.zeros(2, 3, 48, 48)).sum().backward()
    assert all(p.grad is None for p in network.encoder.parameters())
    assert all(p.grad is not None for p in network.head.parameters())


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["encodr"], ("trainer.freeze=[encodr]", "did you mean", "encoder")),
        (["batchnorm"], ("did you mean", "batch_norm")),
        (["encoder", "head"], ("nothing is left to train",)),
    ],
)
def test_mistakes_are_named_before_anything_is_written(tmp_path, parts, words):
    with pytest.raises(ConfigError) as error:
        planned(f"runs_dir={tmp_path}", f"trainer.freeze=[{','.join(parts)}]")
    assert [word for word in words if word not in str(error.value)] == []
    assert not list(tmp_path.iterdir())
