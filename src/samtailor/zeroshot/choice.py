"""The masks that a baseline takes for the classes of a slice, what they share with the truth, and their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.files import atomic
from samtailor.labels import IGNORE
from samtailor.zeroshot.masks import Runs, joined


@dataclass(frozen=True)
class Choice:
    """A class's mask in one slice.

    Attributes:
        runs: The mask; empty where there was none to take.
        both: Pixels in mask and class.
        mask: Pixels of the mask, where the truth is known.
        truth: Pixels of the class.
    """

    runs: Runs
    both: int
    mask: int
    truth: int

    @property
    def dsc(self) -> float:
        """Dice of mask and class."""
        return 2 * self.both / max(self.mask + self.truth, 1)

    @property
    def iou(self) -> float:
        """Intersection over union of mask and class."""
        return self.both / max(self.mask + self.truth - self.both, 1)


@dataclass(frozen=True)
class SliceResult:
    """What was taken in one slice: a mask of each class of the truth, of how many, and what it took."""

    choices: dict[int, Choice]
    masks: int
    seconds: float

    def save(self, path: Path) -> None:
        """Write, complete or not at all."""
        arrays: dict[str, Any] = {"masks": self.masks, "seconds": self.seconds}
        for k, choice in self.choices.items():
            arrays[f"{k}-counts"] = np.array([*choice.runs.size, choice.both, choice.mask, choice.truth])
            arrays[f"{k}-runs"] = np.stack([choice.runs.starts, choice.runs.ends])
        with atomic(path) as scratch:
            np.savez_compressed(scratch, **arrays)

    @classmethod
    def load(cls, path: Path) -> SliceResult:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            choices: dict[int, Choice] = {}
            for k in [int(name.removesuffix("-counts")) for name in arrays.files if name.endswith("-counts")]:
                height, width, *counts = arrays[f"{k}-counts"].tolist()
                choices[k] = Choice(Runs((height, width), *arrays[f"{k}-runs"]), *counts)
            return cls(choices, int(arrays["masks"]), float(arrays["seconds"]))


def classes_in(truth: NDArray[np.int16]) -> list[int]:
    """Class indices present in a slice, (H, W)."""
    return [int(k) for k in np.unique(truth) if k != IGNORE]


def choose_best(masks: Sequence[Runs], truth: NDArray[np.int16]) -> dict[int, Choice]:
    """For each class of a slice (H, W) the mask with the highest Dice; of equals the first."""
    masks = [joined((truth.shape[0], truth.shape[1])), *masks]  # the empty mask is what no other is better than
    known = _counted(masks, truth != IGNORE)
    choices: dict[int, Choice] = {}
    for k in classes_in(truth):
        pixels = int((truth == k).sum())
        both = _counted(masks, truth == k)
        best = int((2 * both / np.maximum(known + pixels, 1)).argmax())
        choices[k] = Choice(masks[best], int(both[best]), int(known[best]), pixels)
    return choices


def choose(mask: Runs, k: int, truth: NDArray[np.int16]) -> Choice:
    """A mask that was made for a class."""
    both, known = _counted([mask], truth == k), _counted([mask], truth != IGNORE)
    return Choice(mask, int(both[0]), int(known[0]), int((truth == k).sum()))


def paint(choices: dict[int, Choice], size: tuple[int, int]) -> NDArray[np.int16]:
    """One label map of masks that may overlap, large ones first; the background where no mask is."""
    label = np.zeros(size, np.int16)
    for k in sorted(choices, key=lambda k: -choices[k].runs.area):
        label[choices[k].runs.to_mask()] = k
    return label


def _counted(masks: Sequence[Runs], region: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels of each mask within a region (H, W), from one running sum."""
    running = np.zeros(region.size + 1, np.int64)
    np.cumsum(region.T.reshape(-1), out=running[1:])
    return np.array([int((running[m.ends] - running[m.starts]).sum()) for m in masks], np.int64)
