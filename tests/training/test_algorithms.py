"""The choice of torch's algorithms around a block; tests/execution/test_deterministic.py tests whole runs."""

import warnings

import pytest
import torch
from torch.backends import cudnn

from segsweep.training.algorithms import algorithms, operation


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_was_chosen_before_is_restored_after_a_failure(monkeypatch, deterministic, before):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(cudnn, "benchmark", True)
    torch.set_deterministic_debug_mode(before)
    try:
        with pytest.raises(AssertionError, match="a failure"), algorithms(deterministic, tell=print):
            assert (cudnn.deterministic, cudnn.benchmark) != (deterministic, not deterministic), "a failure"
        assert torch.get_deterministic_debug_mode() == before
        assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.set_deterministic_debug_mode(0)


def test_other_warnings_are_shown_as_ever(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with algorithms(True, tell=print), pytest.raises(UserWarning, match="something else"):
        warnings.warn("something else", stacklevel=1)


def test_torchs_own_words_are_understood(monkeypatch):
    """Copied from torch's sources (aten/src/ATen/Context.cpp); the first is also met in a run on the CPU."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    kernel = (
        "reflection_pad2d_backward_out_cuda does not have a deterministic implementation, but you set "
        "'torch.use_deterministic_algorithms(True, warn_only=True)'. You can file an issue at …"
    )
    workspace = (
        "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or "
        "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not deterministic because "
        "it uses CuBLAS and you have CUDA >= 10.2. To enable deterministic behavior in this case, you must …"
    )
    assert operation(kernel) == "reflection_pad2d_backward_out_cuda"
    assert operation(workspace) == "CuBLAS with CUBLAS_WORKSPACE_CONFIG=:0:0"
    assert operation("an operation without a deterministic implementation") is None
