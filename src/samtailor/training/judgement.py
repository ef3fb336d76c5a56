"""Whether a training learned what it was to learn, asked of its history when it has ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from statistics import median

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import counted, listed
from samtailor.metrics.mean_dsc import foreground_mean
from samtailor.runs import RunWarning, best_of
from samtailor.training.settings import TrainConfig

NOTHING = 0.01
"""Validation DSC under which nothing was learned: chance finds as much."""
FALL = 0.01
"""Part of the loss by which it falls at least, from the first epochs to the last, where something is learned."""
GAIN = 0.02
"""Validation DSC by which a training that learns is better than its first validation, whatever its loss does."""
SHORT = 500
"""Steps of the optimiser under which a training is called short."""
RARE_SHARE = 0.001
"""Share of the pixels under which a class may drown in the background."""
SCARCE = 5
"""Training cases under which a class may be too scarce to be learned."""
FEW = 100
"""Pixels of a class in a picture as the network sees it, in the mean, under which its objects may be too small."""


@dataclass(frozen=True)
class Judged:
    """A training that has ended.

    Attributes:
        config: Its resolved config.
        rows: Numbers of its epochs, as in its history.
        names: Names of the classes.
        shares: Share of each class among the labelled pixels of the training slices, (K,).
        cases: Training cases that have each class, (K,).
        truth: Labelled pixels of each class in the validation cases, (K,).
        steps: Steps of the optimiser.
    """

    config: TrainConfig
    rows: Sequence[Mapping[str, float]]
    names: Sequence[str]
    shares: NDArray[np.float64]
    cases: NDArray[np.int64]
    truth: NDArray[np.int64]
    steps: int

    def warning(self) -> RunWarning | None:
        """What went wrong, why perhaps, and which flags may help; None if nothing did."""
        found, missed = [], self._missed()
        is_empty = self._has_found_nothing()
        if is_empty:
            found.append(f"nothing is found in the validation cases: best mean DSC {max(self._scores()):.4f}")
        elif missed:
            names = listed([f"'{self.names[k]}'" for k in missed])
            found.append(f"nowhere found in the validation cases (DSC 0): {names}")
        stays = stays_up(self.config, self.rows)
        if stays is not None:
            found.append(f"the loss did not fall: {stays[0]:.4f} in the first epochs, {stays[1]:.4f} in the last")
        if not found:
            return None
        causes = list(self._causes(missed, is_empty, stays is not None))
        return RunWarning(tuple(found), tuple(cause for cause, _ in causes), tuple(fix for _, fix in causes))

    def _has_found_nothing(self) -> bool:
        """Whether no validation found anything, though there was something to find."""
        scores = self._scores()
        return bool(scores) and max(scores) < NOTHING

    def _scores(self) -> list[float]:
        """Mean DSC of the classes but the background in each validation that could measure it."""
        return [foreground_mean(row, self.names) for row in self.rows if "dsc" in row]

    def _missed(self) -> list[int]:
        """Classes of the validation cases of which the kept epoch finds nothing."""
        best = best_of(self.rows)
        if best is None or "dsc" not in best:
            return []
        return [k for k in range(1, len(self.names)) if self.truth[k] and best[f"dsc/{self.names[k]}"] == 0]

    def _causes(self, missed: Sequence[int], is_empty: bool, stays: bool) -> Iterator[tuple[str, str]]:
        """Likely causes, each with what may help."""
        config = self.config
        absent = [self.names[k] for k in missed if not self.shares[k]]
        if absent:
            yield (
                f"no training sample has a pixel of {listed(absent)}",
                "put cases that have some into the split train",
            )
        if scarce := [k for k in missed if 0 < self.cases[k] < SCARCE]:
            where = listed([f"{self.names[k]} in {self.cases[k]}" for k in scarce])
            yield f"classes that few training cases have: {where}", "label more cases that have them"
        if self.steps < SHORT:
            enough = math.ceil(2 * SHORT / self.steps * len(self.rows))
            run = quote(str(config.out))
            yield (
                f"a short training: {counted(self.steps, 'step')}",
                f"samtailor resume {run} --epochs {enough}, or --time 1h",
            )
        drowned = [k for k in missed if 0 < self.shares[k] < RARE_SHARE]
        if drowned and config.loss.class_weights in (None, "none"):
            least = min(self.shares[k] for k in drowned)
            yield f"classes that drown in the background ({least:.3%} of the pixels)", "--loss.class_weights auto"
        if stays or is_empty:
            assert config.optim.lr is not None
            usual = config.recipe.learning_rate
            other = usual / 4 if config.optim.lr == usual else usual
            yield f"a learning rate that does not suit ({config.optim.lr:g})", f"--optim.lr {other:g}"
        if missed or is_empty:
            if small := self._small(missed):
                size = config.sampling.image_size
                yield (
                    f"objects of few pixels in what the network sees, {size} x {size} pixels: {listed(small)}",
                    "a larger --sampling.image_size, or crops with --sampling.field",
                )
            yield (
                "labels that do not lie on their images",
                f"samtailor check {quote(str(config.data))}, and look at some",
            )

    def _small(self, missed: Sequence[int]) -> list[str]:
        """Those of the classes that are not found (all, if none is) which have few pixels in a shrunk picture."""
        sampling = self.config.sampling
        assert sampling.image_size is not None
        if isinstance(sampling.field, int) and sampling.field <= sampling.image_size:
            return []
        asked = missed or [k for k in range(1, len(self.names)) if self.truth[k]]
        return [self.names[k] for k in asked if 0 < self.shares[k] * sampling.image_size**2 < FEW]


def stays_up(config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> tuple[float, float] | None:
    """Loss of the first and of the last epochs, if it did not fall; None if it did, or too few epochs tell.

    Medians of a third of the epochs each are compared, so that a single one decides nothing. The head's own epochs have
    a loss of their own, on images without augmentation: it has fallen if it fell before the encoder joined in, or
    after. A validation that became better says that something is learned, whatever the loss.
    """
    scores = [row["dsc"] for row in rows if "dsc" in row]
    if scores and max(scores) - scores[0] > GAIN:
        return None
    ends = None
    for part in (rows[: config.head_epochs], rows[config.head_epochs :]):
        if len(part) < 3:
            continue
        losses, third = [row["loss"] for row in part], len(part) // 3
        ends = median(losses[:third]), median(losses[-third:])
        if ends[1] < (1 - FALL) * ends[0]:
            return None
    return ends
