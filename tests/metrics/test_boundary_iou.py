"""Boundary IoU looks at the pixels near the outlines only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from samtailor.evaluation.measure import Grid, measure
from samtailor.labels import LabelSpace
from samtailor.metrics.boundary_iou import BoundaryIoU
from samtailor.metrics.class_metric import ClassMasks

LABELS = LabelSpace.from_names(("background", "field", "water"))


def iou(one: np.ndarray, other: np.ndarray, width: int = 3) -> float:
    return BoundaryIoU(width).score(ClassMasks("field", one, other, (1.0, 1.0)))


def square(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((40, 40), np.bool_)
    mask[start:stop, start:stop] = True
    return mask


def test_a_ring_as_wide_as_it_says_is_compared() -> None:
    one, other = square(10, 30), square(11, 29)  # rings of 20² - 14² and 18² - 12² pixels, 18² - 14² in both
    assert iou(one, other) == pytest.approx((18**2 - 14**2) / (20**2 - 12**2))
    assert iou(one, one) == 1
    assert iou(one, square(0, 5)) == 0
    assert iou(one, np.zeros_like(one)) == 0


def test_it_is_the_authors_erosion_at_the_image_s_end_too() -> None:
    """Their code pads the image with zeros, erodes with a 3 x 3 square `width` times, and takes that away."""
    rng = np.random.default_rng(0)
    for width in (1, 2, 4):
        one, other = (ndimage.gaussian_filter(rng.normal(size=(50, 60)), 4) > 0 for _ in range(2))
        near = [m & ~ndimage.binary_erosion(m, np.ones((3, 3)), width, border_value=0) for m in (one, other)]
        assert iou(one, other, width) == (near[0] & near[1]).sum() / (near[0] | near[1]).sum()


def test_what_is_thin_is_all_boundary() -> None:
    one, other = square(10, 16), square(12, 18)
    assert iou(one, other) == (one & other).sum() / (one | other).sum()


def test_pictures_have_it_and_volumes_do_not() -> None:
    truth, prediction = np.zeros((2, 1, 20, 20), np.int16)
    truth[0, 4:12, 4:12] = 1
    prediction[0, 4:12, 5:13] = 1
    prediction[0, 0, 0] = 2
    for protocol in ("samtailor", "remote-sensing"):
        found = measure("a", truth, prediction, LABELS, protocol).measured["boundary_iou"]  # type: ignore[arg-type]
        assert np.isnan(found[0])
        assert found[1] == iou(truth[0] == 1, prediction[0] == 1)
        assert found[2] == 0  # predicted where it is absent
        volume = measure("a", truth, prediction, LABELS, protocol, Grid.from_spacing((2.0, 1.0, 1.0), 1))  # type: ignore[arg-type]
        assert "boundary_iou" not in volume.measured
