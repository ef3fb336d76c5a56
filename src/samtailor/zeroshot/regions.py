"""Removing small holes and islands of masks; diagonal neighbours are connected, as in both originals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)
"""Of a pixel, which it is connected with."""
_FILL = 10.0
"""Logit of filled holes, and its negative of removed islands (SAM 2)."""


def clean(mask: NDArray[np.bool_], least: int) -> tuple[NDArray[np.bool_], bool]:
    """Fill holes, then remove islands, of fewer pixels than `least`; the largest island always stays.

    Args:
        mask: (H, W).
        least: Pixels of the smallest hole and island that stay.

    Returns:
        The mask, and whether it has changed.
    """
    regions, sizes = _regions(~mask)
    small = np.flatnonzero(sizes < least) + 1
    changed = bool(len(small))
    if changed:
        mask = mask | np.isin(regions, small)
    regions, sizes = _regions(mask)
    large = np.flatnonzero(sizes >= least) + 1
    if len(large) < len(sizes):
        kept = large if len(large) else np.array([np.argmax(sizes) + 1])
        mask, changed = np.isin(regions, kept), True
    return mask, changed


def clean_logits(logits: Tensor, largest: int) -> Tensor:
    """SAM 2's way, on low-resolution logits: holes and islands of at most `largest` pixels change their sign.

    Args:
        logits: (h, w).
        largest: Pixels of the largest hole and island that is removed.
    """
    cleaned = logits.clone()
    for is_hole, value in ((True, _FILL), (False, -_FILL)):
        inside = (logits <= 0) if is_hole else (logits > 0)
        regions, sizes = _regions(inside.cpu().numpy())
        small = np.isin(regions, np.flatnonzero(sizes <= largest) + 1)
        cleaned[logits.new_tensor(small).bool()] = value
    return cleaned


def _regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int_], NDArray[np.intp]]:
    """Connected regions, numbered from 1, (H, W), and their sizes."""
    regions = np.asarray(ndimage.label(mask, structure=NEIGHBOURS)[0], np.int_)
    return regions, np.bincount(regions.reshape(-1))[1:]
