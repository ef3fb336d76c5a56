"""Attention in blocks and folded attention equal the plain one: output and gradients, whatever the sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models import attention_blocks
from samtailor.models.attention import RelativeAttention
from samtailor.models.attention_blocks import Attended, attention_in_blocks
from samtailor.models.relative_attention import folded_attention
from samtailor.models.windows import join_windows, split_windows

HEADS, DEPTH = 3, 8
SIZES = [(2, 6, 6, 0), (1, 5, 9, 0), (2, 6, 9, 3), (1, 7, 5, 3), (2, 2, 2, 3), (1, 1, 1, 0)]
"""Images, rows, columns, window."""


def plain_attention(attended: Attended, heads: int, window: int) -> Tensor:
    """The definition, with the bias of all pairs and with windows of zero-padded tokens."""
    query, key, value = attended.query, attended.key, attended.value
    height, width = query.shape[1:3]
    if window:
        below, beside = -height % window, -width % window
        if attended.padding_key is not None and attended.padding_value is not None:
            key, value = (
                torch.cat([x, pad.expand(len(x), height, beside, -1)], dim=2)
                for x, pad in ((key, attended.padding_key), (value, attended.padding_value))
            )
            key, value = (
                torch.cat([x, pad.expand(len(x), below, width + beside, -1)], dim=1)
                for x, pad in ((key, attended.padding_key), (value, attended.padding_value))
            )
        query, key, value = (split_windows(x, window) for x in (query, key, value))
    rows, columns = query.shape[1:3]
    query, key, value = (x.unflatten(-1, (heads, -1)).permute(0, 3, 1, 2, 4) for x in (query, key, value))
    vertical = torch.einsum("bnhwd,hkd->bnhwk", query, attended.vertical)
    horizontal = torch.einsum("bnhwd,wkd->bnhwk", query, attended.horizontal)
    bias = (vertical[..., :, None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
    scores = query.flatten(2, 3) @ key.flatten(2, 3).mT / query.shape[-1] ** 0.5 + bias
    output = (scores.softmax(-1) @ value.flatten(2, 3)).transpose(1, 2).flatten(2)
    output = output.unflatten(1, (rows, columns))
    return join_windows(output, height, width) if window else output


def attended(size: tuple[int, int, int, int], dtype: torch.dtype = torch.float32) -> Attended:
    batch, height, width, window = size
    generator = torch.Generator().manual_seed(sum(size))
    rows, columns = (window, window) if window else (height, width)
    padded = bool(window and (height % window or width % window))
    grid = (batch, height, width, HEADS * DEPTH)
    shapes = [grid, grid, grid, (rows, rows, DEPTH), (columns, columns, DEPTH)] + 2 * padded * [(HEADS * DEPTH,)]
    return Attended(*(torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes))


def gradients(way: Callable[[Attended, int, int], Tensor], given: Attended, window: int) -> list[Tensor]:
    """Output and gradients of a way to compute attention."""
    tensors = [x for x in given if x is not None]
    output = way(given, HEADS, window)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    return [output, *torch.autograd.grad((output * weights).sum(), tensors)]


@pytest.mark.parametrize("block", [2**20, 50, 1], ids=["all-at-once", "some-rows", "row-by-row"])
@pytest.mark.parametrize("size", SIZES)
def test_blocks_equal_the_definition(
    size: tuple[int, int, int, int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_blocks, "BLOCK", block)
    given = attended(size)
    found, expected = (gradients(way, given, size[3]) for way in (attention_in_blocks, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_blocks_equal_the_definition_to_the_last_digits_in_double(size: tuple[int, int, int, int]) -> None:
    given = attended(size, torch.float64)
    found, expected = (gradients(way, given, size[3]) for way in (attention_in_blocks, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_folded_attention_equals_the_definition(size: tuple[int, int, int, int]) -> None:
    given = attended(size)
    found, expected = (gradients(way, given, size[3]) for way in (folded_attention, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frozen", range(7))
def test_what_needs_no_gradient_gets_none(frozen: int) -> None:
    given = attended((1, 7, 5, 3))
    fields = [x for x in given if x is not None]
    fields[frozen].requires_grad_(False)
    attention_in_blocks(given, HEADS, 3).square().sum().backward()
    plain = Attended(*(x.detach().requires_grad_() for x in fields))
    plain_attention(plain, HEADS, 3).square().sum().backward()
    for i, (own, definition) in enumerate(zip(fields, plain, strict=True)):
        assert definition is not None
        if i == frozen:
            assert own.grad is None
        else:
            torch.testing.assert_close(own.grad, definition.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [0, 3])
def test_under_autocast_the_result_is_as_good_as_the_precision(window: int) -> None:
    torch.manual_seed(0)
    layer = RelativeAttention(24, 3, 4, window)
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    tokens = torch.randn(2, 4, 5, 24, requires_grad=True)
    exact = layer(tokens)
    (wanted,) = torch.autograd.grad(exact.square().sum(), tokens)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(tokens)
    (found,) = torch.autograd.grad(half.float().square().sum(), tokens)
    assert half.dtype == torch.bfloat16
    assert (half - exact).abs().max() < 0.03 * exact.abs().max()
    assert (found - wanted).abs().max() < 0.03 * wanted.abs().max()


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 8)])
def test_windows_that_reach_over_the_grid_see_zero_tokens_there(height: int, width: int) -> None:
    torch.manual_seed(0)
    layer, whole = RelativeAttention(24, 3, 3, 3), RelativeAttention(24, 3, 3)
    torch.nn.init.normal_(layer.rel_pos_h)
    whole.load_state_dict(layer.state_dict())
    tokens = torch.randn(2, height, width, 24)
    padded = F.pad(tokens, (0, 0, 0, -width % 3, 0, -height % 3))
    expected = join_windows(whole(split_windows(padded, 3)), height, width)
    torch.testing.assert_close(layer(tokens), expected, rtol=1e-5, atol=1e-6)
