"""What a segmenter finds in the cases of the page: packed labels, how uncertain they are, and how good."""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case, Void
from samtailor.labels import IGNORE
from samtailor.metrics.confusion import nan_mean
from samtailor.metrics.overlap import Overlap, confusion, score
from samtailor.segmenter import Segmenter
from samtailor.settings import Device

NOT_COUNTED = 255
"""What stands in the page's labels for pixels that count nowhere."""
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Prediction:
    """A label that a segmenter gave a case.

    Attributes:
        packed: Class indices, packed.
        shape: Slices, rows, columns.
        uncertainty: Mean entropy of the class probabilities as a share of the greatest that there can be.
    """

    packed: bytes
    shape: tuple[int, ...]
    uncertainty: float

    @classmethod
    def of(cls, segmenter: Segmenter, case: Case, device: Device = "auto") -> Prediction:
        """Segment a case."""
        result = segmenter.predict(case, probabilities=True, device=device)
        assert result.probabilities is not None
        label = result.label.astype(np.uint8)
        if (void := case.geometry.void) is not None:
            label[void.where] = NOT_COUNTED
        uncertainty = mean_entropy(result.probabilities, case.geometry.void)
        return cls(zlib.compress(label.tobytes(), 1), label.shape, uncertainty)

    def label(self) -> NDArray[np.uint8]:
        """Class indices, (S, H, W)."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)


class Predictions:
    """Predictions of the present segmenter by case, and those of the one before; the oldest go where they are many."""

    def __init__(self) -> None:
        """Hold none yet."""
        self._lock = Lock()
        self._now: OrderedDict[int, Prediction] = OrderedDict()
        self._before: OrderedDict[int, Prediction] = OrderedDict()

    def now(self, case: int) -> Prediction | None:
        """The present segmenter's prediction of a case."""
        return self._now.get(case)

    def before(self, case: int) -> Prediction | None:
        """The prediction of the segmenter before the present one."""
        return self._before.get(case)

    def add(self, case: int, prediction: Prediction) -> None:
        """Hold a prediction of the present segmenter."""
        with self._lock:
            self._now[case] = prediction
            self._now.move_to_end(case)
            held = sum(len(one.packed) for one in (*self._now.values(), *self._before.values()))
            for part in (self._before, self._now):
                while held > _MOST_BYTES and len(part) > (part is self._now):
                    held -= len(part.popitem(last=False)[1].packed)

    def turn(self) -> None:
        """There is another segmenter: what was found is that of the one before."""
        with self._lock:
            self._now, self._before = OrderedDict(), OrderedDict(self._before | self._now)


def mean_entropy(probabilities: NDArray[np.float16], void: Void | None = None) -> float:
    """Mean entropy of class probabilities as a share of that of equal ones, in [0, 1].

    Args:
        probabilities: Softmax over classes, (K, S, H, W); may lie on disk.
        void: Pixels that hold nothing, and do not count.
    """
    total, count = 0.0, 0
    for index in range(probabilities.shape[1]):
        share = np.maximum(probabilities[:, index].astype(np.float32), 0)
        entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=0)
        known = entropy if void is None else entropy[~void.where[index]]
        total, count = total + float(known.sum(dtype=np.float64)), count + known.size
    return min(1.0, max(0.0, total / max(count, 1) / math.log(len(probabilities))))


def mean_dsc(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> float | None:
    """Mean DSC of the classes that the truth shows, but the background; None if it shows none."""
    known = np.where(truth == NOT_COUNTED, IGNORE, truth.astype(np.int16))
    predicted = np.where(prediction == NOT_COUNTED, 0, prediction).astype(np.int16)
    counts = Overlap.from_confusion(confusion(known, predicted, classes))
    found: Any = nan_mean(score(counts, "dsc", "monai")[None, 1:])[0]
    return None if math.isnan(found) else float(found)
