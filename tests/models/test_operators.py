"""Without torch's private operators the public ones give the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models import operators

ALL = ("_GELU", "_GELU_BACKWARD", "_SOFTMAX_BACKWARD", "_LINEAR")


@pytest.fixture(params=["private", "public"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the operators, which the torch of the tests has, and without."""
    assert all(getattr(operators, name) is not None for name in ALL)
    for name in ALL if request.param == "public" else ():
        monkeypatch.setattr(operators, name, None)


@pytest.fixture
def values() -> Tensor:
    return torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_an_operator_that_is_not_there_or_takes_other_arguments_is_not_used() -> None:
    assert operators._find("aten.none_such") is None
    assert operators._find("aten.gelu_", "text") is None


def test_gelu_in_place(values: Tensor) -> None:
    expected = F.gelu(values)
    assert operators.gelu_(values) is values
    torch.testing.assert_close(values, expected)


def test_gradient_of_gelu_in_place(values: Tensor) -> None:
    leaf = values.clone().requires_grad_()
    gradient = torch.linspace(-1, 1, leaf.numel(), dtype=torch.float64).view_as(leaf)
    (expected,) = torch.autograd.grad(F.gelu(leaf), leaf, gradient)
    with torch.no_grad():
        operators.gelu_backward_(gradient, values)
    torch.testing.assert_close(gradient, expected)


def test_gradient_of_softmax_in_place(values: Tensor) -> None:
    leaf = values.clone().requires_grad_()
    gradient = torch.linspace(-1, 1, leaf.numel(), dtype=torch.float64).view_as(leaf)
    weights = leaf.softmax(dim=-1)
    (expected,) = torch.autograd.grad(weights, leaf, gradient)
    operators.softmax_backward_(gradient, weights.detach())
    torch.testing.assert_close(gradient, expected)
