"""Rows of an enlarged window are those of the whole enlarged window, and the winner is the argmax."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.inference import enlarge
from samtailor.inference.enlarge import enlarged, winner


def whole(logits: Tensor, side: int) -> Tensor:
    return F.interpolate(logits[None], (side, side), mode="bilinear", antialias=True)[0]


@pytest.mark.parametrize("pixels", [1, 100, 1 << 15])
@pytest.mark.parametrize(("size", "side"), [(8, 8), (8, 9), (8, 31), (16, 256), (5, 64), (16, 7), (64, 63), (1, 4)])
def test_rows_are_those_of_the_whole(size: int, side: int, pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarge, "_PIXELS", pixels)
    logits = torch.randn(3, size, size, generator=torch.Generator().manual_seed(size * side))
    starts, rows = zip(*enlarged(logits, side), strict=True)
    expected = whole(logits, side)
    assert torch.cat(rows, dim=1).shape == expected.shape
    torch.testing.assert_close(torch.cat(rows, dim=1), expected, rtol=0, atol=1e-6)
    assert list(starts) == [sum(part.shape[1] for part in rows[:i]) for i in range(len(rows))]


@pytest.mark.parametrize("classes", [2, 14, 150])
def test_labels_are_those_of_the_whole_bit_for_bit(classes: int) -> None:
    logits = torch.randn(classes, 32, 32, generator=torch.Generator().manual_seed(classes))
    found = torch.cat([winner(rows) for _, rows in enlarged(logits, 200)])
    assert torch.equal(found.long(), whole(logits, 200).argmax(dim=0))
    assert found.dtype == torch.int16


def test_the_first_of_equals_wins() -> None:
    logits = torch.tensor([1.0, 3.0, 3.0, 2.0])[:, None, None].expand(4, 2, 5)
    assert (winner(logits) == 1).all()


def test_where_a_logit_is_not_a_number_the_first_class_wins() -> None:
    logits = torch.tensor([1.0, float("nan"), 3.0])[:, None, None].expand(3, 2, 5)
    assert (winner(logits) == 0).all()


def test_half_precision_is_enlarged_in_single() -> None:
    logits = torch.randn(2, 4, 4).half()
    (_, rows), *_ = enlarged(logits, 10)
    assert rows.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        (_, again), *_ = enlarged(logits, 10)
    assert torch.equal(again, rows)
