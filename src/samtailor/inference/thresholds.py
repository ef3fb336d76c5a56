"""Classes that are only given where they are probable enough."""

from __future__ import annotations

from torch import Tensor

from samtailor.errors import ConfigError, not_one_of
from samtailor.labels import LabelSpace
from samtailor.settings import Thresholds


class Threshold:
    """The least probability of each class: a class is no candidate where its own is below."""

    def __init__(self, thresholds: Thresholds, labels: LabelSpace) -> None:
        """Know the least probabilities; those of other classes are 0.

        Raises:
            ConfigError: If there is no such class.
        """
        for name in thresholds:
            if name not in labels.names:
                raise ConfigError(f"threshold: {not_one_of(labels.names, name)}")
        self._least = [thresholds.get(name, 0.0) for name in labels.names]

    def candidates(self, probabilities: Tensor) -> Tensor:
        """Probabilities (K, h, w) with -1 for classes that are no candidates: the greatest is that of the label.

        Where no class is a candidate all are equal, and the first class, the background, is the label.
        """
        least = probabilities.new_tensor(self._least)[:, None, None]
        return probabilities.masked_fill(probabilities < least, -1)
