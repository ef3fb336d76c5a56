"""Measuring one case by a protocol on the grid of its file: voxel counts, surfaces, confusion matrix, small targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.data.case import Geometry
from samtailor.evaluation.case_scores import CaseScore
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.class_metric import ClassMasks, counted_voxels
from samtailor.metrics.empty import EMPTY_RULES
from samtailor.metrics.overlap import Overlap, confusion
from samtailor.metrics.protocols import PROTOCOLS, Metric, Protocol, ProtocolName
from samtailor.metrics.targets import count_targets

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Grid:
    """How canonical arrays (S, H, W) are laid out for measuring distances.

    The challenges' scripts work in the axes of the file and with the spacing in its header: where a distance equals a
    tolerance, and which end of the last axis is left out, depend on it.

    Attributes:
        spacing: Distance of voxels along each axis; two axes for pictures.
        in_mm: Whether the spacing is in mm rather than in pixels.
        orientation: Orientation of nibabel that takes canonical axes to the file's; None where there is no file.
    """

    spacing: tuple[float, ...]
    in_mm: bool
    orientation: NDArray[np.float64] | None = None

    @classmethod
    def from_geometry(cls, geometry: Geometry) -> Grid:
        """Grid of a file."""
        if axes := geometry.file_axes:
            return cls(axes[0], True, axes[1])
        return cls.from_spacing(geometry.spacing, geometry.shape[0])

    @classmethod
    def from_spacing(cls, spacing: tuple[float, float, float] | None, slices: int) -> Grid:
        """Grid without file; `spacing` in mm (slices, rows, columns) is None for pictures and stacks without."""
        if spacing is not None:
            return cls(spacing[::-1], True)
        return cls((1.0, 1.0) if slices == 1 else (1.0, 1.0, 1.0), False)

    @property
    def unit(self) -> Literal["voxels", "pixels"]:
        """What lies on it."""
        return "pixels" if len(self.spacing) == 2 else "voxels"

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        """A canonical array (S, H, W) in the axes of the grid, without copying."""
        if self.orientation is not None:
            laid: NDArray[Any] = apply_orientation(array, self.orientation)
            return laid
        return array[0] if len(self.spacing) == 2 else array.transpose(2, 1, 0)


def measure(
    name: str,
    truth: NDArray[np.int16],
    prediction: NDArray[np.int16],
    labels: LabelSpace,
    protocol: ProtocolName,
    grid: Grid | None = None,
) -> CaseScore:
    """Measure a label map (S, H, W) against the truth, `IGNORE` where nothing counts; in pixels without grid."""
    rules, classes = PROTOCOLS[protocol], len(labels)
    grid = grid or Grid.from_spacing(None, len(truth))
    joint = confusion(truth, prediction, classes)
    overlap = Overlap.from_confusion(joint)
    ignored = truth == IGNORE
    if ignored.any():
        prediction = np.where(ignored, np.int16(IGNORE), prediction)
    true, predicted = grid.take(truth), grid.take(prediction)
    boxes = _boxes(true, classes), _boxes(predicted, classes)
    measured = _measured(lambda k, box: (true[box] == k, predicted[box] == k), boxes, overlap, labels, rules, grid)
    matrix = joint if "oa" in rules.overall else None
    targets = count_targets(true, predicted) if "pd" in rules.overall else None
    return CaseScore(name, overlap, measured, matrix, targets, grid.unit)


def measure_masks(
    name: str,
    truth: NDArray[np.int16],
    predictions: Mapping[int, Mask],
    labels: LabelSpace,
    protocol: ProtocolName,
    grid: Grid | None = None,
) -> CaseScore:
    """Measure one mask for each class; masks may overlap, so that there is no confusion matrix.

    Truth (S, H, W) and grid are as for `measure`; a class without mask (S, H, W) is predicted nowhere.
    """
    rules, classes = PROTOCOLS[protocol], range(len(labels))
    grid = grid or Grid.from_spacing(None, len(truth))
    counted = truth != IGNORE
    masks = {k: grid.take(mask & counted) for k, mask in predictions.items()}
    true, nothing = grid.take(truth), np.zeros(grid.take(truth).shape, dtype=np.bool_)

    def cut(k: int, box: Box) -> tuple[Mask, Mask]:
        return true[box] == k, masks.get(k, nothing)[box]

    mask_boxes = [_boxes(masks[k].view(np.uint8), 2)[1] if k in masks else None for k in classes]
    everywhere = (slice(None),) * true.ndim
    overlap = Overlap(*np.array([counted_voxels(*cut(k, everywhere)) for k in classes], dtype=np.int64).T)
    measured = _measured(cut, (_boxes(true, len(labels)), mask_boxes), overlap, labels, rules, grid)
    targets = None
    if "pd" in rules.overall:
        foreground = np.any([nothing, *(mask for k, mask in masks.items() if k)], axis=0)
        targets = count_targets(true, foreground.astype(np.int16))
    return CaseScore(name, overlap, measured, None, targets, grid.unit)


def _around(one: Box | None, other: Box | None) -> Box | None:
    """The box around both; None if there is neither."""
    if one is None or other is None:
        return one or other
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def _measured(
    cut: Callable[[int, Box], tuple[Mask, Mask]],
    boxes: tuple[list[Box | None], list[Box | None]],
    overlap: Overlap,
    labels: LabelSpace,
    rules: Protocol,
    grid: Grid,
) -> dict[Metric, NDArray[np.float64]]:
    """What the protocol measures of each class, (K,); NaN for the background.

    The counts of classes with a slice range are replaced by those within it. `cut` gives truth and prediction of a
    class within a box, `boxes` are where truth and prediction have each class.
    """
    wanted = [metric for metric in rules.measured if metric.suits(grid.in_mm)]
    values = {metric.key: np.full(len(labels), np.nan) for metric in wanted}
    for k, (name, true_box, other) in enumerate(zip(labels.names, *boxes, strict=True)):
        box = _around(true_box, other)
        is_ranged = grid.in_mm and rules.has_slice_range(name)
        if k == 0 or not (wanted or is_ranged):
            continue
        if box is None or true_box is None:
            for metric in wanted:
                values[metric.key][k] = metric.absent(EMPTY_RULES[rules.empty], is_predicted=box is not None)
            continue
        if is_ranged:
            # The upper end is exclusive, as in the challenge's script. A class in a single slice, where the script
            # stops with an error, is scored on that slice.
            first, last = true_box[-1].start, true_box[-1].stop - 1
            box = (*box[:-1], slice(first, max(last, first + 1)))
        masks = ClassMasks(name, *cut(k, box), grid.spacing)
        if is_ranged:
            overlap.tp[k], overlap.fp[k], overlap.fn[k] = masks.counts
        for metric in wanted:
            values[metric.key][k] = metric.score(masks)
    return values


def _boxes(indices: NDArray[np.int16] | NDArray[np.uint8], classes: int) -> list[Box | None]:
    """The smallest box around each class; None for the background, and for a class that is nowhere."""
    order = np.argsort([-abs(stride) for stride in indices.strides])  # as it lies in memory: several times faster
    found = ndimage.find_objects(indices.transpose(order), classes - 1)
    back = np.argsort(order).tolist()
    return [None, *(None if box is None else tuple(box[axis] for axis in back) for box in found)]
