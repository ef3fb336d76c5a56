"""The one slice of a case that a figure shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from samtailor.files import made_of, regular

_LONGEST = 2048  # pixels of a side: figures are smaller, and drawing a scene of 6800 x 7200 takes minutes and gigabytes


class Slices(Protocol):
    """Slices in [0, 1], (S, C, H, W), that are computed where they are looked at, or an array of them."""

    def __getitem__(self, part: Any, /) -> Any:
        """A part, which NumPy can make an array of."""
        ...


@dataclass(frozen=True)
class View:
    """The representative slice of a case; for pictures, the picture, every n-th pixel if it is larger than any figure.

    Attributes:
        image: In [0, 1], the channels that are drawn (`drawn_channels`), (1 or 3, H, W).
        prediction: Class indices, (H, W).
        truth: Class indices, (H, W); None if it is not known.
        aspect: Height of a pixel over its width.
        index: Index of the slice.
        slices: Slices of the case.
    """

    image: NDArray[Any]
    prediction: NDArray[np.int16]
    truth: NDArray[np.int16] | None = None
    aspect: float = 1.0
    index: int = 0
    slices: int = 1

    @classmethod
    def from_case(
        cls,
        image: Slices,
        prediction: NDArray[np.int16],
        truth: NDArray[np.int16] | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Self:
        """The slice with the most true classes and, of those, the most true foreground pixels.

        Without truth, or if it has no foreground, the prediction decides.

        Args:
            image: Slices in [0, 1], (S, C, H, W).
            prediction: Class indices, (S, H, W).
            truth: Class indices, (S, H, W); None if it is not known.
            spacing: Distance in mm of slices, rows, columns; None for pictures.
        """
        index = 0
        if len(prediction) > 1:
            index = representative_slice(prediction if truth is None or not (truth > 0).any() else truth)
        step = step_of(prediction.shape[1:])
        sparse = np.s_[..., ::step, ::step]
        drawn = image[index]
        drawn = drawn[drawn_channels(len(drawn), is_picture=spacing is None)]
        shown, predicted = (np.ascontiguousarray(plane[sparse]) for plane in (drawn, prediction[index]))
        true = None if truth is None else np.ascontiguousarray(truth[index][sparse])
        aspect = 1.0 if spacing is None else spacing[1] / spacing[2]
        return cls(shown, predicted, true, aspect, index, len(prediction))

    def save(self, path: Path) -> None:
        """Write to a compressed file (.npz)."""
        truth = np.empty(0, np.int16) if self.truth is None else self.truth
        place = np.array([self.aspect, self.index, self.slices])
        np.savez_compressed(path, image=self.image, prediction=self.prediction, truth=truth, place=place)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with made_of(path, "a slice to show", "delete it, and it is made again"), np.load(regular(path)) as arrays:
            aspect, number, slices = arrays["place"].tolist()
            truth = arrays["truth"] if arrays["truth"].size else None
            return cls(arrays["image"], arrays["prediction"], truth, aspect, int(number), int(slices))


def step_of(size: tuple[int, ...]) -> int:
    """Every how many-th row and column of a picture (H, W) is shown."""
    return -(-max(size) // _LONGEST)


def drawn_channels(channels: int, is_picture: bool) -> slice:
    """Which channels of an image figures draw: three as colours, else the first one in gray.

    Of a picture of more than three bands the first three are taken for its colours.
    """
    return slice(3) if channels == 3 or (is_picture and channels > 3) else slice(1)


def representative_slice(label: NDArray[np.int16]) -> int:
    """Index of the slice with the most foreground classes and, of those, pixels; the middle one if there are none."""
    foreground = [plane[plane > 0] for plane in label]
    classes = [np.count_nonzero(np.bincount(values)) for values in foreground]
    best = max(range(len(label)), key=lambda index: (classes[index], foreground[index].size))
    return best if classes[best] else len(label) // 2
