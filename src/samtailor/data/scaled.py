"""Slices that are scaled where they are looked at: no second copy of a volume or a large picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import scale_between


class Scaled:
    """A view of values as intensities in [0, 1]; part of it is again a view, `np.asarray` computes it."""

    def __init__(self, values: NDArray[Any], limits: tuple[float, float]) -> None:
        """View intensities, (..., H, W), of which the two limits become 0 and 1."""
        self._values = values
        self._limits = limits

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[np.float16]:
        """Half precision, as the slice cache stores it."""
        return np.dtype(np.float16)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, part: Any) -> Scaled:
        return Scaled(self._values[part], self._limits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = scale_between(self._values, *self._limits)
        return array if dtype is None else array.astype(dtype, copy=False)


Slices = NDArray[np.float16] | Scaled
"""Slices in [0, 1], (S, C, H, W)."""
