"""Logit offsets of the classes with which validation cases have the greatest DSC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samtailor.evaluation.tuning.cases import TunedCase
from samtailor.inference.enlarge import winner
from samtailor.labels import IGNORE
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.overlap import Overlap, confusion
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
    """Offsets that were chosen, and how well they do; of classes that no truth shows nothing is counted.

    Attributes:
        bias: Offset of each class's logit.
        mean: What they were to raise.
        chosen: Counts of each case and class with them, (cases, K).
        without: The same without offsets.
        held_out: Of each case with the offsets that the other half of the cases chose; None of too few cases.
    """

    bias: Bias
    mean: MeanDsc
    chosen: Overlap
    without: Overlap
    held_out: Overlap | None

    @property
    def holds(self) -> bool:
        """Whether the mean gains, and still does where each half of the cases is scored by the other's choice."""
        least = self.mean(self.without)
        return self.mean(self.chosen) > least and (self.held_out is None or self.mean(self.held_out) > least)

    @property
    def kept(self) -> tuple[Bias | None, Overlap]:
        """The offsets that hold, or none, and the counts with them."""
        return (self.bias, self.chosen) if self.holds else (None, self.without)


def choose(cases: Sequence[TunedCase], classes: int, mean: MeanDsc) -> BiasChoice:
    """Offsets that raise the mean DSC of cases, and what they are worth on cases that did not choose them."""
    bias = best_bias(cases, classes, mean)
    held_out = None
    if len(cases) >= _FEWEST:
        held_out = Overlap(*np.empty((3, len(cases), classes), np.int64))
        for part in (0, 1):
            other = best_bias(cases[1 - part :: 2], classes, mean)
            for place, counts in zip(held_out, counts_of(cases[part::2], other), strict=True):
                place[part::2] = counts
        held_out = of_shown(held_out)
    chosen, without = (of_shown(counts_of(cases, offsets)) for offsets in (bias, (0.0,) * classes))
    return BiasChoice(bias, mean, chosen, without, held_out)


def of_shown(counts: Overlap) -> Overlap:
    """Counts (..., cases, K) without what is found of classes that the truth of no case shows.

    They would count, with 0, where something of them is found only: giving them up would seem to gain.
    """
    is_shown = counts.truth.any(axis=-2, keepdims=True)
    return counts._replace(fp=np.where(is_shown, counts.fp, 0))


def counts_of(cases: Sequence[TunedCase], bias: Bias) -> Overlap:
    """Counts of each case and class, (cases, K), of the most probable classes with some offsets.

    Without any they are those of the label: the softmax is rounded.
    """
    offsets = torch.tensor(bias)[:, None, None]
    found = []
    for one in cases:
        joint = np.zeros((len(bias), len(bias)), np.int64)
        if any(bias):
            for softmax, truth in _blocks(one):
                joint += confusion(truth, winner(_logarithm(softmax) + offsets).numpy(), len(bias))
        else:
            joint += confusion(one.case.truth, one.case.prediction, len(bias))
        found.append(Overlap.from_confusion(joint))
    return Overlap.stacked(found)


def best_bias(cases: Sequence[TunedCase], classes: int, mean: MeanDsc) -> Bias:
    """Offsets of greatest mean by coordinate ascent; exact for two classes, up to the spacing of `OFFSETS`."""
    bias = np.zeros(classes)
    for _ in range(1 if classes == 2 else _SWEEPS):
        before = bias.copy()
        for index in tracked("classes", range(1, classes)):
            counts = Overlap.stacked((_counts_along(one, bias, index) for one in cases), axis=1)
            if not counts.truth[0, :, index].any():  # nothing tells what it gains from
                continue
            means = mean.along(of_shown(counts))
            here = int(np.argmin(abs(OFFSETS - bias[index])))
            best = np.flatnonzero(means == np.nanmax(means))
            bias[index] = OFFSETS[min(best, key=lambda place: abs(place - here))]
        if (bias == before).all():
            break
    return tuple(bias.tolist())


def _counts_along(case: TunedCase, bias: NDArray[np.float64], index: int) -> Overlap:
    """Counts of all classes for each of `OFFSETS` of one class, (offsets, K), in one look at the case.

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
    return Overlap(right, predicted - right, truths - right)


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
