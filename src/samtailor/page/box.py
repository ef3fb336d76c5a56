"""Boxes of a label: slices, rows and columns, in the canonical axes of `Result.label`."""

from __future__ import annotations

import math

from samtailor.page.request_error import RequestError
from samtailor.page.words import whole_number

Box = tuple[slice, slice, slice]
"""Slices, rows and columns of a label."""


def box_of(text: str | None, shape: tuple[int, ...]) -> Box:
    """The box 'z0,y0,x0,z1,y1,x1', half open, within a label of a shape (S, H, W).

    Raises:
        RequestError: If it is none, is empty, or reaches out of the label.
    """
    edges = [whole_number(part.strip(), "box") for part in (text or "").split(",")]
    if len(edges) != 6:
        raise RequestError(400, f"box: expected z0,y0,x0,z1,y1,x1, found '{text or '':.60}'")
    low, high = edges[:3], edges[3:]
    if not all(0 <= first < last <= most for first, last, most in zip(low, high, shape, strict=True)):
        raise RequestError(400, f"box: expected one within {' x '.join(map(str, shape))}, found '{text or '':.60}'")
    z, y, x = map(slice, low, high)
    return z, y, x


def shape_of(box: Box) -> tuple[int, int, int]:
    """Slices, rows and columns that a box has."""
    z, y, x = (side.stop - side.start for side in box)
    return z, y, x


def size_of(box: Box) -> int:
    """Voxels of a box."""
    return math.prod(shape_of(box))


def told_box(box: Box) -> str:
    """A box as 'z0,y0,x0,z1,y1,x1'."""
    return ",".join(str(edge) for edge in (*(side.start for side in box), *(side.stop for side in box)))
