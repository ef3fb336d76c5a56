"""The mean DSC that epochs and offsets are chosen by."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.overlap import Overlap, score
from samtailor.metrics.protocols import ProtocolName

# Two cases, three classes: the first case lacks nothing; the second has none of the last class, nor finds any.
COUNTS = Overlap(*np.array([[[9, 1, 0], [9, 8, 0]], [[0, 0, 2], [0, 4, 0]], [[0, 1, 0], [0, 0, 0]]]))


def test_each_class_is_averaged_over_the_cases_in_which_it_counts() -> None:
    np.testing.assert_allclose(score(COUNTS, "dsc", "nnunet"), [[1, 2 / 3, 0], [1, 16 / 20, np.nan]])
    assert MeanDsc()(COUNTS) == pytest.approx(((2 / 3 + 16 / 20) / 2 + 0) / 2)


def test_pooled_pixels_of_all_cases_count_together() -> None:
    np.testing.assert_allclose(MeanDsc(is_pooled=True).by_class(COUNTS), [1, 18 / 23, 0])
    assert MeanDsc(is_pooled=True)(COUNTS) == pytest.approx(18 / 23 / 2)


def test_the_background_may_count_as_a_class() -> None:
    assert MeanDsc(is_pooled=True, has_background=True)(COUNTS) == pytest.approx((1 + 18 / 23 + 0) / 3)
    nothing = Overlap(*np.array([[[9, 0, 0]], [[3, 0, 0]], [[0, 2, 1]]]))
    assert MeanDsc(has_background=True)(nothing) == 0  # whatever the background's is
    absent = Overlap(*np.array([[[9, 0, 0]], [[0, 0, 0]], [[0, 0, 0]]]))
    assert np.isnan(MeanDsc(has_background=True)(absent))


def test_pooled_a_speck_of_an_absent_class_costs_what_it_covers() -> None:
    found, speck = np.array([[90, 80], [95, 0]]), np.array([[0, 0], [0, 1]])
    counts = Overlap(found, speck, np.zeros_like(found))
    assert MeanDsc()(counts) == pytest.approx(0.5)
    assert MeanDsc(is_pooled=True)(counts) == pytest.approx(160 / 161)


@pytest.mark.parametrize("is_pooled", [False, True])
def test_a_class_that_counts_nowhere_is_left_out(is_pooled: bool) -> None:
    counts = Overlap(*(array[:, [0, 1, 2, 2]] * np.array([1, 1, 1, 0]) for array in COUNTS))
    assert np.isnan(MeanDsc(is_pooled).by_class(counts)[3])
    assert MeanDsc(is_pooled)(counts) == MeanDsc(is_pooled)(COUNTS)


@pytest.mark.parametrize(
    ("protocol", "mean"),
    [
        ("samtailor", MeanDsc()),
        ("nnunet", MeanDsc()),
        ("flare22", MeanDsc()),
        ("transunet", MeanDsc()),
        ("monai", MeanDsc()),
        ("irstd", MeanDsc(is_pooled=True)),
        ("remote-sensing", MeanDsc(is_pooled=True, has_background=True)),
    ],
)
def test_what_a_protocol_counts_is_chosen_by(protocol: ProtocolName, mean: MeanDsc) -> None:
    assert MeanDsc.of_protocol(protocol) == mean
