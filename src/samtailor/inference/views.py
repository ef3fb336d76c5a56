"""Views of a window that predictions are averaged over: flipped, and from twice as far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samtailor.data.intensity import Scaled
from samtailor.data.preprocessing import Window
from samtailor.errors import ConfigError
from samtailor.settings import Flip, TestTimeFlip

Axes = tuple[int, ...]
"""Axes of a slice (C, H, W) that are flipped, counted from the end."""

FLIPS: dict[Flip, tuple[Axes, ...]] = {
    "none": ((),),
    "columns": ((), (-1,)),
    "both": ((), (-1,), (-2,), (-2, -1)),
}
"""What the network sees of a window by the name of the flips: as it is, and flipped along some axes."""


@dataclass(frozen=True)
class WindowView:
    """One of the ways in which the network sees a window.

    Attributes:
        flip: Axes that are flipped.
        is_wide: Whether it shows more: twice as much of the slice (see `Window.wider`), at half the size.
        weight: Its share of the mean of all views.
    """

    flip: Axes = ()
    is_wide: bool = False
    weight: float = 1.0

    def seen(self, image: NDArray[Any] | Scaled, window: Window) -> tuple[NDArray[Any] | Scaled, Window]:
        """A slice (C, H, W) and a window of it that show what this view does of a window of a slice.

        Only what lies in the slice is flipped: where the window reaches over it, it does so behind it, as ever.
        """
        if self.is_wide:
            return image, window.wider(image.shape[1:])
        if not self.flip:
            return image, window
        seen = np.asarray(image[:, window.y : window.y + window.side, window.x : window.x + window.side])
        return np.flip(seen, self.flip), Window(0, 0, window.side)

    def weighted(self, logits: Tensor, windows: Sequence[Window], size: tuple[int, ...]) -> Tensor:
        """This view's part in the mean of all, of windows that are still flipped.

        Args:
            logits: What the network gives of what it has seen, (B, K, n, n).
            windows: Windows of a slice that this is a view of, all of one size.
            size: Rows and columns of the slice.

        Returns:
            Logits of the windows, (B, K, n, n).
        """
        if self == PLAIN:
            return logits
        logits = logits.float()
        if self.is_wide:
            inside = torch.tensor([_inside(window, window.wider(size)) for window in windows], device=logits.device)
            grid = F.affine_grid(inside, list(logits.shape), align_corners=False)
            logits = F.grid_sample(logits, grid, padding_mode="border", align_corners=False)
        return self.weight * logits


PLAIN = WindowView()
"""A window as it is, and nothing else."""


def chosen_flips(tta: TestTimeFlip, trained: Flip | None) -> tuple[Axes, ...]:
    """The flips of a setting; 'auto' is what a segmenter was trained with.

    Raises:
        ConfigError: If that is not known, as in segmenters of older versions.
    """
    if tta != "auto":
        return FLIPS[tta]
    if trained is None:
        raise ConfigError(
            "tta: expected a segmenter that says by which flips it was trained for 'auto', found one of an older "
            "version, which does not; take --tta columns (left and right look alike), both (views from above) or none"
        )
    return FLIPS[trained]


def views_of(flips: Sequence[Axes], wide: float) -> tuple[WindowView, ...]:
    """Views of a window under each of some flips, all of one weight, and its wide view; those that have a weight."""
    views = *(WindowView(flip, weight=(1 - wide) / len(flips)) for flip in flips), WindowView(is_wide=True, weight=wide)
    return tuple(view for view in views if view.weight)


def _inside(window: Window, wider: Window) -> list[list[float]]:
    """Where in a wider window a window lies: the matrix (2, 3) from its places to the wider one's, both -1 to 1."""
    scale = window.side / wider.side
    x, y = (2 * (start + window.side / 2) / wider.side - 1 for start in (window.x - wider.x, window.y - wider.y))
    return [[scale, 0.0, x], [0.0, scale, y]]
