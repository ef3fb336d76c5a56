"""Images and settings on which our mask generator is compared with the originals'."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 64
"""Image side of the tiny networks."""


@dataclass(frozen=True)
class GeneratorCase:
    """One run of a generator.

    Attributes:
        network: 'sam' or 'sam2'.
        name: Name of the run, unique for the network.
        size: Rows and columns of the image.
        settings: In the originals' words; thresholds lie where the random networks' scores do.
    """

    network: str
    name: str
    size: tuple[int, int]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name among all runs."""
        return f"{self.network}/{self.name}"

    def image(self) -> NDArray[np.uint8]:
        """Smooth random colours that depend on nothing but the size, (H, W, 3)."""
        random = np.random.default_rng(zlib.crc32(str(self.size).encode()))
        noise = ndimage.gaussian_filter(random.standard_normal((*self.size, 3)), (5, 5, 0))
        return np.clip(128 + 600 * noise, 0, 255).astype(np.uint8)


SCORES: dict[str, dict[str, Any]] = {
    "sam": {
        "mask_threshold": 0.3,
        "stability_score_offset": 0.02,
        "stability_score_thresh": 0.7,
        "pred_iou_thresh": 0.05,
    },
    "sam2": {
        "mask_threshold": 2.0,
        "stability_score_offset": 0.1,
        "stability_score_thresh": 0.6,
        "pred_iou_thresh": 0.43,
    },
}
"""Thresholds between the scores of the random networks."""

_CROPS = {"crop_n_layers": 1, "crop_nms_thresh": 0.9, "crop_n_points_downscale_factor": 2, "points_per_batch": 7}
_CLEANED = {"min_mask_region_area": 30, "box_nms_thresh": 0.98}  # SAM 2 cleans on a GPU only
_AGAIN = {"points_per_side": 6, "use_m2m": True, "box_nms_thresh": 1.0, **SCORES["sam2"]}

CASES = [
    GeneratorCase(network, name, size, {"points_per_side": 8, "box_nms_thresh": 0.95, **SCORES[network], **settings})
    for network in ("sam", "sam2")
    for name, size, settings in (
        ("wide", (48, 80), {"box_nms_thresh": 1.0}),
        ("square", (64, 64), {"box_nms_thresh": 0.9}),
        (
            "tall",
            (150, 97),
            {"min_mask_region_area": 30, "box_nms_thresh": 0.98} if network == "sam" else {"multimask_output": False},
        ),
        ("crops", (230, 300), _CROPS),
    )
] + [GeneratorCase("sam2", "again", (48, 80), _AGAIN)]
