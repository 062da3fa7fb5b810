"""On a GPU: the same run twice, and killed and resumed. `python -m benchmarks.gpu_exact` does the same."""

from argparse import Namespace

import pytest
import torch

from benchmarks.gpu_exact import HEADS, PRECISIONS, checked


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_repeated_and_resumed_training_on_a_gpu(head, precision):
    row = checked(Namespace(device="cuda", quick=False), head, precision)
    assert (row["repeated"], row["killed and resumed"]) == ("equal", "equal")
    assert row["not deterministic"] == ""
