"""TinyViT computes what its authors' operations compute, in less time and memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks.upstream_tiny_vit import UpstreamTinyViT
from samtailor.models import tiny_vit
from samtailor.models.operators import gelu
from samtailor.models.tiny_vit import MBConv, TinyViT, TinyViTBlock, TinyViTConfig
from samtailor.models.windows import join_windows, split_windows
from samtailor.recipes.adapter_layers import AdaptedOutput, Bottleneck, DepthAdapter

CONFIG = TinyViTConfig(widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), heads=(1, 2, 2, 2), windows=(3, 3, 5, 3))
"""Grids of sides 8 to 16, so that windows of sides 3 and 5 reach over them by every number of rows."""


def randomised(module: nn.Module) -> nn.Module:
    """The module with random numbers in place of the zeros and ones that new norms and biases have."""
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and ("norm" in name or "bias" in name):
            tensor.copy_(torch.rand_like(tensor) + 0.5 * ("var" in name or name.endswith("weight")))
    return module


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Agreement to so much of the largest number."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("size", [(36, 36), (48, 32), (40, 52), (8, 4), (60, 60)])
def test_the_embedding_is_that_of_the_plain_operations(size: tuple[int, int]) -> None:
    network = randomised(TinyViT(CONFIG))
    assert isinstance(network, TinyViT)
    plain = UpstreamTinyViT(network)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain(images)
        assert_close(network(images).last_hidden_state, expected)
    assert_close(network(images).last_hidden_state.detach(), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("sides", [(6, 9), (7, 11), (2, 5), (5, 5), (3, 1)])
def test_gradients_are_those_of_padded_windows(sides: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    block = randomised(TinyViTBlock(16, 2, 5, 4)).to(dtype)
    assert isinstance(block, TinyViTBlock)
    norm, attention = block.layer_norm1, block.attn
    tokens = torch.randn(2, *sides, 16, dtype=dtype, generator=torch.Generator().manual_seed(1)).requires_grad_()
    parameters = [*norm.parameters(), *attention.parameters()]

    def gradients(output: Tensor) -> list[Tensor]:
        weights = torch.linspace(-1, 1, output.numel(), dtype=dtype).view_as(output)
        return list(torch.autograd.grad((weights * output).sum(), [tokens, *parameters]))

    found = attention(norm(tokens), norm.bias)
    expected = padded_attention(block, tokens)
    assert_close(found, expected, tolerance)
    ours, theirs = gradients(found), gradients(expected)
    # A key's bias moves no softmax: its gradient is nothing but rounding, on the scale of the others.
    scale = max(float(gradient.abs().max()) for gradient in theirs)
    assert all((a - b).abs().max() <= tolerance * scale for a, b in zip(ours, theirs, strict=True))


def padded_attention(block: TinyViTBlock, tokens: Tensor) -> Tensor:
    """The definition: zeros at the far sides, layer norm, and attention of all pairs in each window."""
    adapted = block.attn
    windows = block.layer_norm1(split_windows(tokens, block.window)).flatten(1, 2)
    if isinstance(adapted, DepthAdapter):
        windows = windows + adapted.adapter(adapted._across(windows))
        adapted = adapted.layer
    attention = adapted.layer if isinstance(adapted, AdaptedOutput) else adapted
    query, key, value = (attention.split(p(windows)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
    bias = attention.attention_biases[:, attention.bias_index]
    pairs = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + bias
    output = attention.out_proj((pairs.softmax(dim=3) @ value).transpose(1, 2).flatten(2))
    if isinstance(adapted, AdaptedOutput):
        output = output + adapted.adapter(output)
    side = block.window
    return join_windows(output.unflatten(1, (side, side)), *tokens.shape[1:3])


def test_adapters_see_the_padding_too() -> None:
    block = TinyViTBlock(16, 2, 5, 4)
    block.attn = DepthAdapter(AdaptedOutput(block.attn, Bottleneck(16, 4)), Bottleneck(16, 4), heads=2, slices=3)
    randomised(block)
    tokens = torch.randn(3, 7, 11, 16, generator=torch.Generator().manual_seed(1))
    assert_close(block.attn(block.layer_norm1(tokens), block.layer_norm1.bias), padded_attention(block, tokens))


@pytest.mark.parametrize("strip", [1, 32 * 12 * 5, 2**30])
def test_strips_of_a_bottleneck_join_without_a_seam(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block = randomised(MBConv(8, 4))
    images = torch.randn(2, 8, 11, 12, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    before = images.clone()
    expected = block(images).detach()
    monkeypatch.setattr(tiny_vit, "STRIP", strip)
    with torch.no_grad():
        assert_close(block(images), expected)
    assert torch.equal(images, before)


@pytest.mark.parametrize("trained", [True, False])
def test_gelu_overwrites_only_where_no_gradient_asks_for_it(trained: bool) -> None:
    plain = torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    expected = nn.functional.gelu(plain)
    fresh = plain.clone().requires_grad_(trained)
    found = gelu(fresh)
    assert_close(found.detach(), expected, 1e-6)
    assert (found.data_ptr() == fresh.data_ptr()) != trained
