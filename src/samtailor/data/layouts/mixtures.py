"""Masks whose edges are smoothed, by resizing or by JPEG: few values and, at the edges, many that mix two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

Value = tuple[int, ...]
"""A gray level, (L,), or a colour, (R, G, B)."""

_RARER = 4  # times fewer pixels than either of the values that it mixes
_NEAR, _SAME = 24, 3  # levels by which JPEG changes values at edges, and anywhere
_BESIDE = 8  # levels beside the line between two values, by rounding
_MOST_IDS = 128  # smaller numbers may be the ids of classes, rare or not
_STEP = 4  # people choose levels of a common step; mixtures have none
_SHARE = 1 / 3  # of all mixtures that a mask holds, in the mean; rare classes are in few masks


def pure_values(masks: Collection[Mapping[Value, int]]) -> list[Value] | None:
    """The values that smoothed masks had before, sorted; None of masks that are not smoothed.

    Rare classes are told from mixtures by being few, in few of the masks, or of levels that are ids or go in steps.

    Args:
        masks: Pixels of each value in each mask.
    """
    counts: Counter[Value] = Counter()
    for mask in masks:
        counts.update(mask)
    levels = {level for value in counts for level in value} - {255}
    if not levels or max(levels) < _MOST_IDS or np.gcd.reduce(list(levels)) >= _STEP:
        return None
    pure = _unmixed(counts)
    mixed = counts.keys() - pure
    points = np.array(pure)
    near = np.abs(points[:, None] - points).max(axis=-1) <= _NEAR
    if len(pure) < 2 or len(mixed) <= len(pure) or near.sum() > len(pure):
        return None
    held = [len(mask.keys() & mixed) for mask in masks if len(mask) > 1]
    return sorted(pure) if sum(held) >= _SHARE * len(mixed) * len(held) else None


def _unmixed(counts: Mapping[Value, int]) -> list[Value]:
    """Values that are no mixtures of two others with far more pixels, and not near such a one; frequent ones first."""
    pure: list[Value] = []
    for value, number in sorted(counts.items(), key=lambda item: -item[1]):
        frequent = [other for other in pure if counts[other] >= _RARER * number]
        is_near = _distance(value, pure) <= _SAME or _distance(value, frequent) <= _NEAR
        if not is_near and not _is_between(value, frequent):
            pure.append(value)
    mixed = len(counts) - len(pure)
    usual = (sum(counts.values()) - sum(counts[value] for value in pure)) / max(1, mixed)
    return [value for value in pure if counts[value] > usual]  # rarer ones mix three others, where these meet


def _distance(value: Value, others: Collection[Value]) -> float:
    """Levels by which a value differs from the nearest of others."""
    return float(np.abs(np.array(list(others)) - value).max(axis=-1).min()) if others else np.inf


def _is_between(value: Value, others: Collection[Value]) -> bool:
    """Whether a value lies on the line between two others, but for rounding."""
    if len(others) < 2:
        return False
    points = np.array(list(others), float)
    first, second = (points[indices] for indices in np.triu_indices(len(points), 1))
    way = second - first
    along = np.clip(((value - first) * way).sum(axis=1) / (way**2).sum(axis=1), 0, 1)
    return bool(np.abs(first + along[:, None] * way - value).max(axis=1).min() <= _BESIDE)
