"""Each protocol's rules on cases that can be computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.measure import Grid, measure, measure_masks
from samtailor.evaluation.scores import Scores
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.nsd import NSD
from samtailor.metrics.protocols import FLARE22_CLASSES, PROTOCOLS, Metric, ProtocolName, key_of

ORGANS = LabelSpace.from_names(("background", "liver", "aorta"))
GRID = Grid.from_spacing((3.0, 1.0, 1.0), 8)


def boxes(*classes: tuple[int, slice]) -> NDArray[np.int16]:
    """Volume (8, 12, 12) with a square of each class in a range of slices; each class in columns of its own."""
    label = np.zeros((8, 12, 12), np.int16)
    for k, slices in classes:
        label[slices, 3:9, 6 * k - 5 : 6 * k - 1] = k
    return label


def value(
    protocol: ProtocolName, metric: Metric, truth: NDArray, prediction: NDArray, k: int = 1, grid: Grid | None = GRID
) -> float:
    case = measure("case", truth, prediction, ORGANS, protocol, grid)
    return float(Scores(ORGANS, protocol, (case,)).per_case(metric)[0, k])


PRESENT, ABSENT = boxes((1, slice(2, 6))), boxes()


@pytest.mark.parametrize(
    ("protocol", "metric", "both_empty", "false_positive", "missed"),
    [
        ("flare22", "dsc", 1.0, 0.0, 0.0),
        ("flare22", "nsd", 1.0, 0.0, 0.0),
        ("nnunet", "dsc", math.nan, 0.0, 0.0),
        ("monai", "dsc", math.nan, math.nan, 0.0),
        ("transunet", "dsc", 0.0, 1.0, 0.0),
        ("transunet", "hd95", 0.0, 0.0, 0.0),
        ("samtailor", "dsc", math.nan, 0.0, 0.0),
        ("samtailor", "nsd", math.nan, 0.0, 0.0),
        ("samtailor", "hd95", math.nan, math.nan, math.nan),
        ("irstd", "iou", math.nan, 0.0, 0.0),
        ("remote-sensing", "iou", math.nan, 0.0, 0.0),
    ],
)
def test_an_absent_class_scores_as_the_protocol_says(
    protocol: ProtocolName, metric: Metric, both_empty: float, false_positive: float, missed: float
) -> None:
    found = [value(protocol, metric, *pair) for pair in ((ABSENT, ABSENT), (ABSENT, PRESENT), (PRESENT, ABSENT))]
    np.testing.assert_equal(found, [both_empty, false_positive, missed])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_prediction_is_perfect(protocol: ProtocolName) -> None:
    for metric in PROTOCOLS[protocol].metrics:
        grid = None if metric == "boundary_iou" else GRID
        assert value(protocol, metric, PRESENT, PRESENT, grid=grid) == (0 if metric == "hd95" else 1)


def test_the_aorta_counts_between_its_first_and_last_true_slice_and_the_last_is_dropped() -> None:
    truth = boxes((1, slice(2, 6)), (2, slice(2, 6)))
    assert value("flare22", "dsc", truth, boxes((1, slice(0, 8)), (2, slice(0, 8))), 2) == 1
    assert value("flare22", "dsc", truth, boxes((1, slice(0, 8)), (2, slice(0, 8))), 1) == pytest.approx(8 / 12)
    assert value("flare22", "dsc", truth, boxes((2, slice(2, 5))), 2) == 1  # slice 5 is the last true one
    assert value("flare22", "dsc", truth, boxes((2, slice(3, 6))), 2) == pytest.approx(4 / 5)
    assert value("flare22", "dsc", truth, boxes((2, slice(5, 8))), 2) == 0
    assert value("flare22", "nsd", truth, boxes((2, slice(5, 8))), 2) == 0
    assert value("nnunet", "dsc", truth, boxes((2, slice(2, 5))), 2) == pytest.approx(6 / 7)


def test_an_aorta_in_a_single_slice_is_scored_on_it() -> None:
    truth = boxes((2, slice(4, 5)))
    assert value("flare22", "dsc", truth, boxes((2, slice(3, 8))), 2) == 1
    assert value("flare22", "dsc", truth, boxes((2, slice(5, 8))), 2) == 0


def test_nsd_is_zero_below_a_dsc_of_one_fifth() -> None:
    shifted = np.roll(PRESENT, 5, axis=1)  # keeps one of six rows: DSC 1/6
    assert value("flare22", "dsc", PRESENT, shifted) == pytest.approx(1 / 6)
    assert value("flare22", "nsd", PRESENT, shifted) == 0
    assert value("samtailor", "nsd", PRESENT, shifted) > 0


def test_distances_are_in_mm_of_the_axis() -> None:
    along_slices, along_rows = np.roll(PRESENT, 1, axis=0), np.roll(PRESENT, 1, axis=1)
    assert value("samtailor", "hd95", PRESENT, along_slices) == pytest.approx(3)
    assert value("samtailor", "hd95", PRESENT, along_rows) == pytest.approx(1)
    assert value("samtailor", "nsd", PRESENT, along_rows) == 1  # 1 mm is within 2 mm
    assert value("samtailor", "nsd", PRESENT, along_slices) < 1
    assert value("transunet", "hd95", PRESENT, along_slices) == pytest.approx(1)  # voxels


def test_pictures_have_distances_in_pixels_and_no_nsd() -> None:
    truth = PRESENT[3:4]
    case = measure("picture", truth, np.roll(truth, 2, axis=2), ORGANS, "samtailor")
    found = Scores(ORGANS, "samtailor", (case,))
    assert found.metrics == ("dsc", "iou", "boundary_iou", "hd95")
    assert found.per_case("hd95")[0, 1] == 2


def test_ignored_voxels_count_nowhere() -> None:
    truth = PRESENT.copy()
    truth[:, :, 9:] = IGNORE
    spurious = PRESENT.copy()
    spurious[:, :, 9:] = 1
    for metric in ("dsc", "iou", "nsd"):
        assert value("samtailor", metric, truth, spurious) == 1
    assert value("samtailor", "hd95", truth, spurious) == 0


def test_monai_averages_the_classes_of_each_case_first() -> None:
    both = boxes((1, slice(2, 6)), (2, slice(2, 6)))
    half = np.where(boxes((2, slice(2, 6))) == 2, 0, both)  # the aorta is missed
    pairs = ((both, half), (PRESENT, PRESENT))
    means = {}
    for protocol in ("monai", "nnunet"):
        cases = tuple(measure(f"{n}", *pair, ORGANS, protocol, GRID) for n, pair in enumerate(pairs))
        means[protocol] = Scores(ORGANS, protocol, cases).summary("dsc").without_background.value
    assert means["monai"] == pytest.approx((0.5 + 1) / 2)
    assert means["nnunet"] == pytest.approx((1 + 0) / 2)


@pytest.mark.parametrize(
    ("name", "tolerance"), zip(FLARE22_CLASSES[1:], (5, 3, 3, 5, 2, 2, 2, 2, 2, 3, 5, 7, 3), strict=True)
)
def test_flare22_tolerances_go_by_the_organ_s_name(name: str, tolerance: float) -> None:
    protocol = PROTOCOLS["flare22"]
    nsd = next(metric for metric in protocol.measured if isinstance(metric, NSD))
    assert nsd.tolerance_of(name) == nsd.tolerance_of(name.title().replace(" ", "_")) == tolerance
    assert protocol.has_slice_range(name) == (name in ("aorta", "inferior vena cava", "esophagus"))


def test_other_spellings_are_the_same_organ_and_other_organs_have_the_default() -> None:
    assert key_of("kidney_right") == key_of("RK") == key_of("Right Kidney")
    assert key_of("oesophagus") == key_of("esophagus")
    assert key_of("right kidney") != key_of("left kidney")
    assert NSD({key_of("spleen"): 3.0}).tolerance_of("portal and splenic veins") == 2


def test_masks_that_do_not_overlap_score_as_their_label_map() -> None:
    truth = boxes((1, slice(2, 6)), (2, slice(1, 7)))
    prediction = np.roll(truth, 1, axis=0)
    for protocol in ("samtailor", "flare22"):
        one = measure("case", truth, prediction, ORGANS, protocol, GRID)
        masks = {k: prediction == k for k in range(3)}
        other = measure_masks("case", truth, masks, ORGANS, protocol, GRID)
        found: list[CaseScore] = [one, other]
        np.testing.assert_array_equal(found[0].overlap.tp, found[1].overlap.tp)
        np.testing.assert_array_equal(found[0].overlap.fp, found[1].overlap.fp)
        for metric in one.measured:
            np.testing.assert_array_equal(one.measured[metric], other.measured[metric])
