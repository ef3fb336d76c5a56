"""Boundary IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samtailor.metrics.class_metric import ClassMasks, ClassMetric, counted_voxels
from samtailor.metrics.empty import EmptyValues

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BoundaryIoU(ClassMetric):
    """IoU of the parts of truth and prediction that lie near their own outlines (Cheng et al. 2021, arXiv 2103.16562).

    Attributes:
        width: How near, in pixels; what the authors' code erodes with a square. They take 2 % of the image's diagonal.
    """

    key = "boundary_iou"
    title = "boundary IoU"
    needs_pixels = True

    width: int = 3

    def score(self, masks: ClassMasks) -> float:
        """0 where nothing is predicted."""
        both, wrong, missed = counted_voxels(*(self._near_outline(mask) for mask in (masks.truth, masks.prediction)))
        return both / (both + wrong + missed)

    def _near_outline(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels of a mask that are not so deep inside; the end of the image is outside."""
        import numpy as np
        from scipy.ndimage import minimum_filter

        inner = minimum_filter(mask.view(np.uint8), 2 * self.width + 1, mode="constant", cval=0)
        return np.asarray(mask & (inner == 0))

    def absent(self, rule: EmptyValues, is_predicted: bool) -> float:
        """As IoU."""
        return rule.false_positive if is_predicted else rule.both_empty

    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The definition, and the width."""
        return {
            "boundary_iou": f"IoU of the pixels of truth and prediction within {self.width} pixels of their own "
            "outlines (arXiv 2103.16562); not for volumes with a spacing, which have the NSD",
            "boundary_iou_width_pixels": self.width,
        }
