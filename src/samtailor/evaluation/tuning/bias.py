"""Logit offsets of the classes with which validation cases have the greatest mean DSC."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samtailor.evaluation.tuning.cases import TunedCase
from samtailor.inference.enlarge import winner
from samtailor.labels import IGNORE
from samtailor.metrics.overlap import Overlap, confusion, score
from samtailor.progress import tracked

Bias = tuple[float, ...]

OFFSETS = np.arange(-60, 61) / 10
"""Offsets that are tried of each class, against the background's, which stays zero."""

_SWEEPS = 3
_AT_ONCE = 1 << 22  # scores in memory
_LEAST = 2.0**-25  # half of the least that half precision tells from zero
_FEWEST = 4  # cases of which each half says something of the other


@dataclass(frozen=True)
class BiasChoice:
    """Offsets that were chosen, and how well they do.

    Attributes:
        bias: Offset of each class's logit.
        dsc: DSC of each case and class with them, (cases, K); NaN where a class does not count.
        without: The same without offsets.
        held_out: Of each case with the offsets that the other half of the cases chose; None of too few cases.
    """

    bias: Bias
    dsc: NDArray[np.float64]
    without: NDArray[np.float64]
    held_out: NDArray[np.float64] | None

    @property
    def holds(self) -> bool:
        """Whether the mean gains, and still does where each half of the cases is scored by the other's choice."""
        least = mean_of(self.without)
        return mean_of(self.dsc) > least and (self.held_out is None or mean_of(self.held_out) > least)


def choose(cases: Sequence[TunedCase], classes: int) -> BiasChoice:
    """Offsets that raise the mean DSC of cases, and what they are worth on cases that did not choose them."""
    none = (0.0,) * classes
    bias = best_bias(cases, classes)
    held_out = None
    if len(cases) >= _FEWEST:
        held_out = np.empty((len(cases), classes))
        for part in (0, 1):
            held_out[part::2] = dsc_of(cases[part::2], best_bias(cases[1 - part :: 2], classes))
    return BiasChoice(bias, dsc_of(cases, bias), dsc_of(cases, none), held_out)


def mean_of(dsc: NDArray[np.float64]) -> float:
    """Mean of each class but the background over the cases (..., cases, K), then over the classes; nnU-Net's rule."""
    return float(_means_of(dsc))


def _means_of(dsc: NDArray[np.float64]) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a class that counts in no case
        means: NDArray[np.float64] = np.nanmean(np.nanmean(dsc[..., 1:], axis=-2), axis=-1)
    return means


def dsc_of(cases: Sequence[TunedCase], bias: Bias) -> NDArray[np.float64]:
    """DSC of each case and class, (cases, K), of the most probable classes with some offsets."""
    offsets = torch.tensor(bias)[:, None, None]
    found = []
    for one in cases:
        joint = np.zeros((len(bias), len(bias)), np.int64)
        for softmax, truth in _blocks(one):
            scores = _logarithm(softmax) + offsets if any(bias) else softmax
            joint += confusion(truth, winner(scores).numpy(), len(bias))
        found.append(score(Overlap.from_confusion(joint), "dsc", "nnunet"))
    return np.stack(found)


def best_bias(cases: Sequence[TunedCase], classes: int) -> Bias:
    """Offsets of greatest mean DSC by coordinate ascent; exact for two classes, up to the spacing of `OFFSETS`."""
    bias = np.zeros(classes)
    for _ in range(1 if classes == 2 else _SWEEPS):
        before = bias.copy()
        for index in tracked("classes", range(1, classes)):
            means = _means_of(np.stack([_dsc_along(one, bias, index) for one in cases], axis=1))
            if np.isnan(means).all():
                continue
            here = int(np.argmin(abs(OFFSETS - bias[index])))
            best = np.flatnonzero(means == np.nanmax(means))
            bias[index] = OFFSETS[min(best, key=lambda place: abs(place - here))]
        if (bias == before).all():
            break
    return tuple(bias.tolist())


def _dsc_along(case: TunedCase, bias: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """DSC of all classes for each of `OFFSETS` of one class, (offsets, K), in one look at the case.

    A pixel belongs to the class from some offset on, to its strongest rival below: pixels are counted by that limit,
    their rival, and which of the two is true.
    """
    classes, grid = len(bias), torch.from_numpy(OFFSETS).float()
    others = torch.from_numpy(bias).float()
    others[index] = 0
    shape = (3, len(grid) + 1, classes)
    counts, truths = np.zeros(shape, np.int64), np.zeros(classes, np.int64)
    for softmax, truth in _blocks(case):
        scores = _logarithm(softmax) + others[:, None, None]
        own = scores[index].clone()
        scores[index] = -torch.inf
        rival = winner(scores).long()
        limit = scores.amax(dim=0) - own
        # Of equals the first class wins.
        limit = torch.where(rival > index, limit.nextafter(torch.tensor(-torch.inf)), limit)
        place = torch.bucketize(limit, grid, right=True)
        true = torch.from_numpy(truth.astype(np.int64))
        is_true = torch.where(true == index, 2, (true == rival).long())
        joint = ((is_true * shape[1] + place) * classes + rival)[true != IGNORE]
        counts += torch.bincount(joint, minlength=counts.size).numpy().reshape(shape)
        truths += np.bincount(truth[truth != IGNORE], minlength=classes)
    taken = counts.cumsum(axis=1)[:, :-1]
    left = counts.sum(axis=1, keepdims=True) - taken
    predicted, right = left.sum(axis=0), left[1]
    predicted[:, index], right[:, index] = taken.sum(axis=(0, 2)), taken[2].sum(axis=1)
    return score(Overlap(right, predicted - right, truths - right), "dsc", "nnunet")


def _blocks(case: TunedCase) -> Iterator[tuple[Tensor, NDArray[np.int16]]]:
    """Softmax, (K, rows, W), and truth, (rows, W), of some rows of a slice at a time."""
    classes, slices, height, width = case.probabilities.shape
    rows = max(1, _AT_ONCE // (classes * width))
    for index in range(slices):
        for start in range(0, height, rows):
            some = slice(start, start + rows)
            softmax = torch.from_numpy(np.array(case.probabilities[:, index, some])).float()
            yield softmax, np.asarray(case.case.truth[index, some])


def _logarithm(softmax: Tensor) -> Tensor:
    return softmax.clamp(min=_LEAST).log_()
