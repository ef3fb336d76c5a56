"""What a figure needs of a label map: painted pixels, outlines, and where tiny targets are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.labels import LabelSpace

# A slice whose foreground is smaller than this fraction gets a magnified inset.
_TINY = 0.005

# Least side of the magnified part in pixels, and its side in multiples of the target's.
_LEAST_SIDE, _MARGIN = 20, 3.0

# More frames than these would hide the picture.
_MOST_TARGETS = 16


@dataclass(frozen=True)
class Box:
    """A square of pixels, from its first row and column."""

    y: int
    x: int
    side: int

    def holds(self, other: Box) -> bool:
        """Whether the centre of another square lies inside."""
        row, column = other.y + other.side / 2, other.x + other.side / 2
        return self.y <= row <= self.y + self.side and self.x <= column <= self.x + self.side


def gray_or_rgb(image: NDArray[Any]) -> NDArray[np.float32]:
    """Picture to draw on, (H, W, 3) in [0, 1], of a slice (C, H, W): its colours, or its first channel in gray."""
    channels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    return np.ascontiguousarray(np.moveaxis(channels, 0, -1), dtype=np.float32).clip(0, 1)


def paint(
    picture: NDArray[np.float32], label: NDArray[np.int16], labels: LabelSpace, opacity: float
) -> NDArray[np.float32]:
    """Lay the colours of classes (H, W) over a picture (H, W, 3); the background stays, ignored pixels turn gray."""
    colours = np.array([*labels.palette, (128, 128, 128)], dtype=np.float32) / 255  # the last one is that of IGNORE
    painted = (label != 0)[..., None]
    return np.where(painted, (1 - opacity) * picture + opacity * colours[label], picture)


def outlines(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Edges between the pixels inside and outside of a mask: lines between (x, y) of `imshow`, (N, 2, 2)."""
    padded = np.pad(mask, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])[:, ::-1] - 0.5  # horizontal edges above row y
    along = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])[:, ::-1] - 0.5  # vertical edges left of column x
    ends = np.concatenate([np.add(across, (1, 0)), np.add(along, (0, 1))])
    return np.stack([np.concatenate([across, along]), ends], axis=1)


def tiny_targets(label: NDArray[np.int16]) -> list[Box]:
    """Squares around the targets of a slice that shows tiny ones only, the largest first, at most `_MOST_TARGETS`."""
    foreground = label > 0
    if not 0 < np.count_nonzero(foreground) < _TINY * foreground.size:
        return []
    regions, _ = ndimage.label(foreground, structure=np.ones((3, 3)))
    spans = ndimage.find_objects(regions)
    by_size = np.argsort(-np.bincount(regions.reshape(-1))[1:], kind="stable")
    return [_square_around(spans[region], label.shape) for region in by_size[:_MOST_TARGETS]]


def _square_around(spans: tuple[slice, ...], shape: tuple[int, ...]) -> Box:
    """Square around a target, moved into the slice (H, W) where it would reach over its border."""
    target = max(span.stop - span.start for span in spans)
    side = min(max(_LEAST_SIDE, round(_MARGIN * target)), *shape)
    starts = [(span.start + span.stop - side) // 2 for span in spans]
    y, x = np.clip(starts, 0, np.array(shape) - side).tolist()
    return Box(y, x, side)
