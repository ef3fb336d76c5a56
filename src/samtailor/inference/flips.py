"""Flips at test time: which there are, and a window of a slice as the network sees it under each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def flipped(image: NDArray[Any] | Scaled, window: Window, axes: Axes) -> tuple[NDArray[Any] | Scaled, Window]:
    """A slice (C, H, W) and a window of it that show what a window shows, flipped.

    Only what lies in the slice is flipped: where the window reaches over it, it does so behind it, as ever.
    """
    if not axes:
        return image, window
    seen = np.asarray(image[:, window.y : window.y + window.side, window.x : window.x + window.side])
    return np.flip(seen, axes), Window(0, 0, window.side)
