"""Segmenting everything in an image: SAM's and SAM 2's automatic mask generators, with their parameters and results.

Source: Kirillov et al. 2023 (arXiv 2304.02643), appendix B, and Ravi et al. 2024 (arXiv 2408.00714).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samtailor.errors import ConfigError
from samtailor.models.sam import AnySizeSam
from samtailor.models.sam2 import HieraSam
from samtailor.models.zoo import Base, find_base, load_base
from samtailor.progress import tracked
from samtailor.zeroshot.image_input import Crop, InputRule, Upsampling, as_picture, crops_of, is_cut, point_grid
from samtailor.zeroshot.masks import Runs, clean, clean_logits
from samtailor.zeroshot.prompted_image import Candidate, PromptedImage
from samtailor.zeroshot.settings import GeneratorSettings

RECORD_KEYS = ("segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box")
"""Fields of a record of the originals."""


@dataclass(frozen=True)
class MaskRecord:
    """One mask, kept as runs.

    Attributes:
        runs: Its pixels.
        box: First column, first row, last column, last row.
        predicted_iou: How good the network thinks it is.
        stability_score: IoU of the mask at a higher and at a lower threshold; NaN if it is empty at both.
        point: x and y of the prompt, in pixels of the image.
        crop: Where in the image the network looked.
    """

    runs: Runs
    box: tuple[int, int, int, int]
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop: Crop

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """The mask, (H, W); made anew each time."""
        return self.runs.to_mask()

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return self.runs.area

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """First column, first row, and from there to the last column and row (XYWH of the originals)."""
        left, top, right, bottom = self.box
        return left, top, right - left, bottom - top

    @property
    def crop_box(self) -> tuple[int, int, int, int]:
        """The crop's first column and row, its width and height."""
        return self.crop.left, self.crop.top, self.crop.size[1], self.crop.size[0]

    @property
    def point_coords(self) -> list[list[float]]:
        """The prompt as the originals give it."""
        return [list(self.point)]

    def __getitem__(self, key: str) -> Any:
        """A field by the originals' name, so that code written for their records works: `record["segmentation"]`."""
        if key not in RECORD_KEYS:
            raise KeyError(key)
        value = getattr(self, key)
        return list(value) if isinstance(value, tuple) else value

    def to_dict(self) -> dict[str, Any]:
        """The record as the originals give it."""
        return {key: self[key] for key in RECORD_KEYS}


class MaskGenerator:
    """A base that segments everything."""

    def __init__(
        self,
        network: AnySizeSam | HieraSam,
        base: Base,
        settings: GeneratorSettings | None = None,
        image_size: int | None = None,
    ) -> None:
        """Make a generator.

        Args:
            network: The base's network, in evaluation mode, where it shall compute.
            base: The base in the zoo.
            settings: How masks are generated; the original's defaults if None.
            image_size: Side of the network's input; that of the pretraining if None.
        """
        self.network = network
        self.rule = InputRule.from_base(base, image_size)
        self.settings = (settings or GeneratorSettings()).for_base(base)

    @torch.inference_mode()
    def generate(self, image: NDArray[Any]) -> list[MaskRecord]:
        """All masks of an image, the best first.

        Args:
            image: (H, W, 3), uint8, or float in [0, 1].
        """
        settings = self.settings
        size = (image.shape[0], image.shape[1])
        crops = crops_of(size, settings.crop_n_layers, settings.crop_overlap_ratio)
        factor = settings.crop_n_points_downscale_factor
        sides = [int(settings.points_per_side / factor**crop.layer) for crop in crops]
        image = self.rule.stretched(image)
        records: list[MaskRecord] = []
        for crop, side in tracked("crops", list(zip(crops, sides, strict=True))):
            records += self._of_crop(image, crop, point_grid(side))
        if len(crops) > 1:
            areas = np.array([math.prod(record.crop.size) for record in records], np.float32)
            records = _without_duplicates(records, np.reciprocal(areas), settings.crop_nms_thresh)
        if settings.min_mask_region_area > 0 and not self.rule.is_square:
            records = self._cleaned(records)
        return records

    def _of_crop(self, image: NDArray[Any], crop: Crop, grid: NDArray[np.float64]) -> list[MaskRecord]:
        """Masks of a crop without duplicates."""
        settings = self.settings
        shown = PromptedImage(self.network, self.rule, image, crop)
        upsampling = shown.upsampling()
        points = grid * (crop.size[1], crop.size[0])
        records: list[MaskRecord] = []
        for start in tracked("points", range(0, len(points), settings.points_per_batch)):
            batch = points[start : start + settings.points_per_batch]
            found = (self._record(candidate, batch, upsampling) for candidate in self._candidates(shown, batch))
            records += [record for record in found if record and not is_cut(record.box, crop, shown.size)]
        scores = np.array([record.predicted_iou for record in records], np.float32)
        return _without_duplicates(records, scores, settings.box_nms_thresh)

    def _candidates(self, shown: PromptedImage, points: NDArray[np.float64]) -> list[Candidate]:
        """Low-resolution masks of a batch of points, above the predicted IoU that is wanted."""
        least, multimask = self.settings.pred_iou_thresh, self.settings.multimask_output
        assert least is not None
        assert multimask is not None
        sparse = shown.embed(points[:, None])
        if not self.settings.use_m2m:
            return shown.candidates(sparse, multimask, least)
        refined = shown.again(sparse, shown.candidates(sparse, multimask))
        return [candidate for candidate in refined if least <= 0 or candidate.iou > least]

    def _record(self, candidate: Candidate, points: NDArray[np.float64], upsampling: Upsampling) -> MaskRecord | None:
        """The mask in the image, if it is stable."""
        settings = self.settings
        assert settings.stability_score_thresh is not None
        logits = candidate.logits
        if settings.min_mask_region_area > 0 and self.rule.is_square:
            logits = clean_logits(logits, settings.min_mask_region_area)
        found = upsampling.mask(
            logits.float().cpu().numpy(),
            settings.mask_threshold,
            settings.stability_score_offset,
            settings.stability_score_thresh,
        )
        if found is None:
            return None
        runs, stability = found
        crop = upsampling.crop
        x, y = points[candidate.prompt]
        # An empty mask's box lies in the corner of its crop, as in the originals.
        box = runs.box if len(runs.starts) else (crop.left, crop.top, crop.left, crop.top)
        return MaskRecord(runs, box, candidate.iou, stability, (crop.left + float(x), crop.top + float(y)), crop)

    def _cleaned(self, records: list[MaskRecord]) -> list[MaskRecord]:
        """Masks without small holes and islands; those that needed no cleaning are preferred to their duplicates."""
        unchanged = np.zeros(len(records), np.float32)
        for place, record in enumerate(records):
            mask, changed = clean(record.segmentation, self.settings.min_mask_region_area)
            runs = Runs.from_mask(mask) if changed else record.runs
            records[place], unchanged[place] = replace(record, runs=runs, box=runs.box), not changed
        return _without_duplicates(records, unchanged, max(self.settings.box_nms_thresh, self.settings.crop_nms_thresh))


def masks_everything(
    image: str | Path | NDArray[Any],
    base: str = "sam-vit-b",
    weights: str | Path | None = None,
    device: str = "auto",
    image_size: int | None = None,
    **settings: Any,
) -> list[MaskRecord]:
    """Everything that a base model sees in an image, without fitting and without prompts.

    Args:
        image: Picture file, or an array (H, W) or (H, W, 3) of uint8, or of floats in [0, 1].
        base: Name in the zoo.
        weights: Weights of the base (see `load_base`).
        device: 'auto', 'cpu' or 'cuda'.
        image_size: Side of the network's input, in pixels; that of the pretraining if None.
        **settings: Fields of `GeneratorSettings`, named as in the originals.

    Returns:
        The masks, the best first.

    Raises:
        SamTailorError: If the image, the base, its weights or a setting are not as expected.
    """
    from samtailor.inference.predictor import choose_device

    known = GeneratorSettings.__dataclass_fields__
    for name in settings:
        if name not in known:
            raise ConfigError(f"expected one of the settings {', '.join(known)}; found '{name}'")
    computed_on, chosen = choose_device(device), GeneratorSettings(**settings)
    found = find_base(base)
    InputRule.from_base(found, image_size)
    picture = as_picture(image)
    network = load_base(base, weights).to(computed_on)
    return MaskGenerator(network, found, chosen, image_size).generate(picture)


def _without_duplicates(records: list[MaskRecord], scores: NDArray[np.float32], threshold: float) -> list[MaskRecord]:
    """Records whose boxes do not overlap too much, the best first."""
    boxes = np.array([record.box for record in records], np.float32).reshape(-1, 4)
    return [records[i] for i in suppress(boxes, scores, threshold)]


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """Indices of boxes (N, 4) to keep, the best first: none overlaps a better one too much; of equals the earlier."""
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = (np.ascontiguousarray(side) for side in boxes[order].T)
    areas = (right - left) * (bottom - top)
    alive = np.ones(len(order), dtype=np.bool_)
    for i in range(len(order)):
        if not alive[i]:
            continue
        later = np.flatnonzero(alive[i + 1 :]) + i + 1
        width = np.minimum(right[i], right[later]) - np.maximum(left[i], left[later])
        height = np.minimum(bottom[i], bottom[later]) - np.maximum(top[i], top[later])
        both = np.maximum(width, 0) * np.maximum(height, 0)
        # Two boxes without area, of masks one pixel thin, overlap nothing: 0 is compared with threshold times 0.
        with np.errstate(invalid="ignore", divide="ignore"):
            alive[later[both / (areas[i] + areas[later] - both) > threshold]] = False
    return order[alive]
