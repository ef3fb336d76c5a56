"""Attention in blocks and folded attention equal the plain one: output and gradients, whatever the sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models import relative_attention
from samtailor.models.attention import RelativeAttention
from samtailor.models.relative_attention import Attended, attention_in_blocks, folded_attention
from samtailor.models.windows import join_windows, split_windows

HEADS, DEPTH = 3, 8
SIZES = [(2, 6, 6, 6, 6), (1, 5, 9, 5, 9), (3, 3, 2, 3, 3), (4, 1, 3, 3, 3), (2, 2, 2, 4, 3), (1, 1, 1, 1, 1)]
"""Areas, rows and columns of queries, rows and columns of keys."""


def plain_attention(attended: Attended, heads: int) -> Tensor:
    """The definition, with the bias of all pairs."""
    query, key, value = (x.unflatten(-1, (heads, -1)).permute(0, 3, 1, 2, 4) for x in attended[:3])
    (height, width), (rows, columns) = query.shape[2:4], key.shape[2:4]
    away = torch.arange(rows) - torch.arange(height)[:, None] + rows - 1
    beside = torch.arange(columns) - torch.arange(width)[:, None] + columns - 1
    vertical = torch.einsum("nahwd,hkd->nahwk", query, attended.vertical[away])
    horizontal = torch.einsum("nahwd,wkd->nahwk", query, attended.horizontal[beside])
    bias = (vertical[..., :, None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
    scores = query.flatten(2, 3) @ key.flatten(2, 3).mT / query.shape[-1] ** 0.5 + bias
    return (scores.softmax(-1) @ value.flatten(2, 3)).transpose(1, 2).reshape(attended.query.shape)


def attended(size: tuple[int, int, int, int, int], dtype: torch.dtype = torch.float32) -> Attended:
    areas, height, width, rows, columns = size
    generator = torch.Generator().manual_seed(sum(size))
    keys = (areas, rows, columns, HEADS * DEPTH)
    shapes = [(areas, height, width, HEADS * DEPTH), keys, keys, (2 * rows - 1, DEPTH), (2 * columns - 1, DEPTH)]
    return Attended(*(torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes))


def gradients(way: Callable[[Attended, int], Tensor], given: Attended) -> list[Tensor]:
    """Output and gradients of a way to compute attention."""
    output = way(given, HEADS)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    return [output, *torch.autograd.grad((output * weights).sum(), given)]


@pytest.mark.parametrize("block", [2**20, 500, 50, 1], ids=["all-at-once", "some-areas", "some-rows", "row-by-row"])
@pytest.mark.parametrize("size", SIZES)
def test_blocks_equal_the_definition(
    size: tuple[int, int, int, int, int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relative_attention, "FORWARD", block)
    monkeypatch.setattr(relative_attention, "BACKWARD", block)
    given = attended(size)
    found, expected = (gradients(way, given) for way in (attention_in_blocks, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_blocks_equal_the_definition_to_the_last_digits_in_double(size: tuple[int, int, int, int, int]) -> None:
    given = attended(size, torch.float64)
    found, expected = (gradients(way, given) for way in (attention_in_blocks, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_folded_attention_equals_the_definition(size: tuple[int, int, int, int, int]) -> None:
    given = attended(size)
    found, expected = (gradients(way, given) for way in (folded_attention, plain_attention))
    for own, definition in zip(found, expected, strict=True):
        torch.testing.assert_close(own, definition, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frozen", range(5))
def test_what_needs_no_gradient_gets_none(frozen: int) -> None:
    given = attended((2, 2, 2, 4, 3))
    given[frozen].requires_grad_(False)
    attention_in_blocks(given, HEADS).square().sum().backward()
    plain = Attended(*(x.detach().requires_grad_() for x in given))
    plain_attention(plain, HEADS).square().sum().backward()
    for i, (own, definition) in enumerate(zip(given, plain, strict=True)):
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


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 8), (2, 2)])
def test_windows_that_reach_over_the_grid_see_zero_tokens_there(height: int, width: int) -> None:
    torch.manual_seed(0)
    layer, whole = RelativeAttention(24, 3, 3, 3), RelativeAttention(24, 3, 3)
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    whole.load_state_dict(layer.state_dict())
    tokens = torch.randn(2, height, width, 24)

    def padded(tokens: Tensor) -> Tensor:
        filled = F.pad(tokens, (0, 0, 0, -width % 3, 0, -height % 3))
        return join_windows(whole(split_windows(filled, 3)), height, width)

    inputs = [tokens.clone().requires_grad_() for _ in range(2)]
    found, expected = layer(inputs[0]), padded(inputs[1])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for output in (found, expected):
        output.square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-5, atol=1e-5)
    for own, definition in zip(layer.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(own.grad, definition.grad, rtol=1e-5, atol=1e-4)
