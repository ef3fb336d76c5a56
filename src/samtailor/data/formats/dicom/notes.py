"""What a DICOM-SEG of ours says in a private element: the ids of all classes, and the whole grid.

A segmentation object has a segment for what was found and frames for where it was found, no more. A label map that is
scored or trained on needs the rest: which ids the classes have, which classes there are besides, and which slices hold
nothing. Without the element, as others write their files, the names of the segments and the image's grid are used.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

_BLOCK = (0x0063, "SAMTAILOR")  # a private group beside that of segments, and its creator (PS3.5, 7.8)
_ELEMENT = 0x01


@dataclass(frozen=True)
class Notes:
    """What is said beside the segments.

    Attributes:
        labels: Name of each class by its id, the background included.
        segments: Ids of the segments, in their order.
        affine: Indices (column, row, plane) to mm (RAS+), shape (4, 4).
        shape: Columns, rows, planes.
    """

    labels: dict[int, str]
    segments: tuple[int, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    def add_to(self, header: Dataset) -> None:
        """Add the element."""
        text = json.dumps(
            {
                "labels": {str(identifier): name for identifier, name in self.labels.items()},
                "segments": self.segments,
                "affine": self.affine.tolist(),
                "shape": self.shape,
            }
        )
        header.private_block(*_BLOCK, create=True).add_new(_ELEMENT, "UT", text)

    @classmethod
    def find_in(cls, header: Dataset) -> Self | None:
        """The notes of a file; None if it has none, or none that can be read."""
        with suppress(KeyError, ValueError, TypeError, AttributeError, RecursionError):
            content = json.loads(header.private_block(*_BLOCK)[_ELEMENT].value)
            labels = {int(identifier): str(name) for identifier, name in content["labels"].items()}
            segments = tuple(int(identifier) for identifier in content["segments"])
            affine = np.array(content["affine"], dtype=np.float64)
            columns, rows, planes = map(int, content["shape"])
            fits = affine.shape == (4, 4) and np.isfinite(affine).all() and labels.keys() >= set(segments)
            same = (columns, rows, len(segments)) == (header.Columns, header.Rows, len(header.SegmentSequence))
            if fits and same and planes > 0 and abs(np.linalg.det(affine)) > 0:
                return cls(labels, segments, affine, (columns, rows, planes))
        return None
