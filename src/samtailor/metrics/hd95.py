"""95th percentile of the Hausdorff distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from samtailor.metrics.class_metric import ClassMasks, ClassMetric
from samtailor.metrics.empty import EmptyValues

_RULES = {
    "surfaces": "95th percentile of the distances of both surfaces' elements, weighted by area, the larger direction "
    "(surface-distance); mm with the file's spacing, pixels for pictures; left out where truth or prediction lacks "
    "the class: read it beside the DSC",
    "voxels": "95th percentile of the distances of both borders' voxels together (medpy), in voxels, not in mm; "
    "0 where truth or prediction lacks the class",
}


@dataclass(frozen=True)
class HD95(ClassMetric):
    """How far apart the surfaces of truth and prediction are, but for the farthest twentieth.

    Attributes:
        between: 'surfaces': the larger of both directions' 95th percentiles over surface elements weighted by area, in
            mm. 'voxels': the 95th percentile of both directions' distances of border voxels together, in voxels.
        missing: What it is where truth or prediction lacks the class; NaN leaves the class out.
    """

    key = "hd95"
    title = "HD95"
    lower_is_better = True

    between: Literal["surfaces", "voxels"] = "surfaces"
    missing: float = float("nan")

    def score(self, masks: ClassMasks) -> float:
        """In mm, pixels or voxels."""
        from samtailor.metrics.surfaces import surface_hd95, voxel_hd95

        if not masks.prediction.any():
            return self.missing
        if self.between == "voxels":
            return voxel_hd95(masks.truth, masks.prediction, (1.0,) * masks.truth.ndim)
        return surface_hd95(masks.surfaces)

    def absent(self, rule: EmptyValues, is_predicted: bool) -> float:
        """No distance has a meaning then."""
        return self.missing

    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The definition."""
        return {"hd95": _RULES[self.between]}
