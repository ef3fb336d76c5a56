"""Several segmenters as one: the probability of a class is the mean of what they give it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import mode
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.errors import ConfigError, DataWarning
from samtailor.inference.predictor import Predictor
from samtailor.inference.stitch import Settled


class Ensemble(Predictor):
    """Applies several segmenters to the same windows, part by part, and averages their class probabilities.

    Class biases and second passes come before the mean: each segmenter has its own. Thresholds and refinement come
    after it: that of most segmenters. All else is as in the first.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        """Take what applies one segmenter each.

        Raises:
            ConfigError: If they differ in what becomes of an image before the networks, or of a label after them.
        """
        vars(self).update(vars(members[0]))
        self._members = tuple(members)
        for place, other in enumerate(members[1:], start=1):
            self._require_like(other, place)
            other.tells_progress = False
        self.refinement = mode(member.refinement for member in members)
        if any(member.refinement != self.refinement for member in members):
            warnings.warn(
                f"refine: expected folds whose labels are refined alike, found that some have other steps saved than "
                f"{self.refinement or 'none'}, which most have: these are taken; --refine chooses others",
                DataWarning,
                stacklevel=3,
            )

    @property
    def members(self) -> tuple[Predictor, ...]:
        """What applies one network each."""
        return self._members

    def _stitched(
        self, image: Slices, embeddings: NDArray[np.float16] | None, rows: slice, slices: range
    ) -> Iterator[tuple[int, Settled]]:
        """Slice and logarithms of sums of probabilities, which stand for logits: their softmax is the mean."""
        if embeddings is not None:
            raise ValueError("embeddings are those of one segmenter")
        for in_turn in zip(*(member._stitched(image, None, rows, slices) for member in self._members), strict=True):
            index, part = in_turn[0]
            assert all((found.rows, found.columns) == (part.rows, part.columns) for _, found in in_turn)
            logarithms = torch.stack([found.logits.float().log_softmax(dim=0) for _, found in in_turn])
            yield index, replace(part, logits=logarithms.logsumexp(dim=0))

    def _require_like(self, other: Predictor, place: int) -> None:
        """Refuse a segmenter that cannot be averaged with the first."""
        for (what, own), found in zip(_traits(self).items(), _traits(other).values(), strict=True):
            if own != found:
                raise ConfigError(
                    f"folds: expected segmenters that are alike, found another {what} in fold {place} than in fold 0: "
                    f"{found} instead of {own}; train all of them by one command, or take one of them alone"
                )


def mean_of(members: Sequence[Predictor]) -> Predictor:
    """What applies the mean of several segmenters, or one alone."""
    return members[0] if len(members) == 1 else Ensemble(members)


def _traits(predictor: Predictor) -> dict[str, Any]:
    """What segmenters have in common that are averaged."""
    model = predictor.model
    return {
        "base": model.base.base,
        "list of classes": ", ".join(model.labels.names),
        "list of class ids": model.labels.ids,
        **{f"preprocessing ({name})": value for name, value in vars(model.preprocessing).items()},
        "number of slices seen together": model.group,
        "flip at test time (--tta)": predictor.flips,
        "weight of wide views": predictor.wide,
    }
