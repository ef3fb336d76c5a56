"""Attention in half precision on a CPU is right, whichever way it is computed."""

import pytest
import torch
from transformers.models.sam.modeling_sam import SamAttention

from samtailor.attend import FEW, NAME, attend
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.sam import VitSize, sam_config
from tests.tiny_base import Family, build


def drawn(queries: int, keys: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of two heads, and a bias that matters, in double precision."""
    torch.manual_seed(0)
    shapes = [(3, 2, queries, 8), (3, 2, keys, 8), (3, 2, keys, 8), (1, 2, queries, keys)]
    query, key, value, bias = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return query, key, value, 3 * bias


def expected(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, scale: float
) -> torch.Tensor:
    scores = query @ key.mT * scale
    return torch.softmax(scores if bias is None else scores + bias, -1) @ value


@pytest.mark.parametrize(("queries", "keys"), [(7, 5), (5, FEW + 1), (FEW + 1, 5), (FEW + 1, FEW + 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_values_and_gradients_are_those_of_the_formula(
    queries: int, keys: int, dtype: torch.dtype, autocast: bool, biased: bool, scale: float | None
) -> None:
    query, key, value, bias = (x.to(dtype).double() for x in drawn(queries, keys))
    exact = [x.requires_grad_() for x in (query, key, value)]
    rounded = [x.detach().to(dtype).requires_grad_() for x in exact]
    truth = expected(*exact, bias if biased else None, scale or 8**-0.5)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast and dtype == torch.bfloat16):
        found = attend(*rounded, bias.float() if biased else None, scale)
    assert found.dtype == dtype
    gradient = torch.randn_like(truth)
    truth.backward(gradient)
    found.backward(gradient.to(dtype))
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 0.04, torch.float16: 0.005}[dtype]
    for mine, theirs in zip([found, *(x.grad for x in rounded)], [truth, *(x.grad for x in exact)], strict=True):
        assert mine is not None
        assert theirs is not None
        assert (mine.double() - theirs).abs().max() < tolerance * theirs.abs().max()


def test_of_many_queries_and_keys_the_weights_are_never_held() -> None:
    held = 0

    def count(weights: torch.Tensor) -> torch.Tensor:
        nonlocal held
        held = max(held, weights.numel())
        return weights

    query, key, value, _ = (x.bfloat16().requires_grad_() for x in drawn(FEW + 1, FEW + 1))
    with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        attend(query, key, value)
    assert held < query.shape[0] * query.shape[1] * (FEW + 1) ** 2


@pytest.mark.parametrize("family", ["tiny-vit", "sam", "sam2"])
def test_decoders_attend_by_it(family: Family) -> None:
    decoder = ClassAwareSam(build(family), classes=2).mask_decoder
    names = {module.config._attn_implementation for module in decoder.modules() if hasattr(module, "config")}
    assert names == {NAME}


def test_to_transformers_layers_it_is_what_their_own_is() -> None:
    config = sam_config(VitSize(16, 1, 2, (0,), image_size=64, output_channels=32)).mask_decoder_config
    layer = SamAttention(config)
    tokens = torch.randn(2, 1, 9, config.hidden_size)
    config._attn_implementation = "sdpa"
    before = layer(tokens, tokens, tokens)[0]
    config._attn_implementation = NAME
    assert torch.equal(layer(tokens, tokens, tokens)[0], before)
