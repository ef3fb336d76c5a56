"""Products by oneDNN equal torch's own: results and gradients, in any order of memory, with and without GELU."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models import operators
from samtailor.models.linear import Linear, product


def given(shape: tuple[int, ...] = (2, 5, 24), outputs: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, weight and bias."""
    generator = torch.Generator().manual_seed(0)
    sizes = (shape, (outputs, shape[-1]), (outputs,))
    tokens, weight, bias = (torch.randn(size, generator=generator) for size in sizes)
    return tokens, weight, bias


@pytest.mark.parametrize("with_gelu", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 24), (7, 24), (1, 24), (0, 24)])
def test_product_is_a_linear_layer(shape: tuple[int, ...], with_gelu: bool) -> None:
    tokens, weight, bias = given(shape)
    expected = F.linear(tokens, weight, bias)
    expected = F.gelu(expected) if with_gelu else expected
    torch.testing.assert_close(product(tokens, weight, bias, with_gelu), expected, rtol=1e-5, atol=1e-5)


def test_product_takes_tokens_and_weights_in_any_order_of_memory() -> None:
    tokens, weight, _ = given()
    strided = tokens.transpose(0, 1).contiguous().transpose(0, 1)
    turned = weight.T.contiguous().T
    torch.testing.assert_close(product(strided, turned), F.linear(tokens, weight), rtol=1e-5, atol=1e-5)


def test_product_leaves_the_tokens_alone() -> None:
    tokens, weight, bias = given()
    before = tokens.clone()
    product(tokens, weight, bias, with_gelu=True)
    assert torch.equal(tokens, before)


def test_in_other_precisions_it_is_torchs_own_product() -> None:
    tokens, weight, bias = (x.double() for x in given())
    assert torch.equal(product(tokens, weight, bias), F.linear(tokens, weight, bias))


def test_under_autocast_the_product_has_its_precision() -> None:
    tokens, weight, bias = given()
    with torch.autocast("cpu", torch.bfloat16):
        found = product(tokens, weight, bias)
        assert torch.equal(found, F.linear(tokens, weight, bias))
    assert found.dtype == torch.bfloat16


def test_without_onednn_it_is_torchs_own_product() -> None:
    tokens, weight, bias = given()
    with torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(product(tokens, weight, bias), F.linear(tokens, weight, bias))


def test_without_the_private_operator_it_is_torchs_own_product(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, weight, bias = given()
    monkeypatch.setattr(operators, "_LINEAR", None)
    assert torch.equal(product(tokens, weight, bias), F.linear(tokens, weight, bias))
    assert torch.equal(product(tokens, weight, bias, with_gelu=True), F.gelu(F.linear(tokens, weight, bias)))


def test_what_torch_compiles_is_torchs_own_product(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, weight, bias = given()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(product(tokens, weight, bias), F.linear(tokens, weight, bias))


@pytest.mark.parametrize("trained", [False, True], ids=["frozen", "trained"])
@pytest.mark.parametrize("bias", [False, True], ids=["without-bias", "with-bias"])
def test_gradients_are_those_of_torchs_own_layer(bias: bool, trained: bool) -> None:
    torch.manual_seed(0)
    ours, plain = Linear(24, 40, bias=bias), torch.nn.Linear(24, 40, bias=bias)
    plain.load_state_dict(ours.state_dict())
    tokens = given()[0]
    inputs = []
    for layer in (ours, plain):
        layer.requires_grad_(trained)
        inputs.append(tokens.clone().requires_grad_())
        layer(inputs[-1]).square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-5, atol=1e-5)
    for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert (own.grad is None) == (not trained)
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-5, atol=1e-5)
