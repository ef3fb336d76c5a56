"""Means, pooled scores and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samtailor.evaluation.bootstrap import percentile_interval, resample
from tests.evaluation.examples import FIRST, SECOND, case, scores


def values_of(estimates: tuple) -> list[float]:
    return [estimate.value for estimate in estimates]


def test_means_are_over_cases_then_over_classes() -> None:
    summary = scores().summary("dsc")
    assert values_of(summary.classes) == pytest.approx([1.0, 0.6, 1.0])
    assert summary.without_background.value == pytest.approx(0.8)
    assert summary.with_background.value == pytest.approx(2.6 / 3)
    assert values_of(scores().summary("iou").classes) == pytest.approx([1.0, (2 / 3 + 1 / 4) / 2, 1.0])


def test_pooled_scores_add_up_the_voxels_first() -> None:
    summary = scores().summary("dsc", "pooled")
    assert values_of(summary.classes) == pytest.approx([1.0, 20 / 30, 1.0])
    assert summary.without_background.value == pytest.approx((2 / 3 + 1) / 2)
    assert values_of(scores().summary("iou", "pooled").classes) == pytest.approx([1.0, 10 / 20, 1.0])


@pytest.mark.parametrize(("rule", "spleen"), [("nnunet", 1.0), ("flare22", 1.0), ("monai", 1.0), ("transunet", 0.5)])
def test_the_rule_decides_what_an_absent_class_does_to_the_mean(rule: str, spleen: float) -> None:
    assert scores(rule).summary("dsc").classes[2].value == spleen


@pytest.mark.parametrize(("rule", "spleen"), [("nnunet", 0.5), ("flare22", 0.5), ("monai", 1.0), ("transunet", 1.0)])
def test_the_rule_decides_what_a_false_positive_does_to_the_mean(rule: str, spleen: float) -> None:
    spurious = case("spurious", tp=[50, 2, 0], fp=[0, 0, 7], fn=[0, 6, 0])
    assert scores(rule, (FIRST, spurious)).summary("dsc").classes[2].value == spleen


def test_a_class_that_never_occurs_is_left_out_of_the_mean_over_classes() -> None:
    found = scores(cases=(SECOND, SECOND)).summary("dsc")
    assert math.isnan(found.classes[2].value)
    assert found.classes[2].interval is None
    assert found.without_background.value == pytest.approx(0.4)


def test_case_means_leave_the_background_out() -> None:
    assert scores().case_means("dsc").tolist() == pytest.approx([0.9, 0.4])


def test_identical_cases_give_an_interval_without_width() -> None:
    found = scores(cases=(FIRST,) * 5).summary("dsc")
    assert found.classes[1].interval == pytest.approx((0.8, 0.8))
    assert found.without_background.interval == pytest.approx((0.9, 0.9))


def test_one_case_has_no_interval() -> None:
    for averaging in ("mean", "pooled"):
        found = scores(cases=(FIRST,)).summary("dsc", averaging)
        assert [estimate.interval for estimate in found.classes] == [None, None, None]
        assert found.with_background.interval is None
        assert found.without_background.interval is None


def test_a_class_that_counts_in_one_case_only_has_no_interval() -> None:
    found = scores().summary("dsc")
    assert found.classes[2].interval is None
    assert found.classes[1].interval is not None


def test_the_interval_of_two_cases_reaches_from_one_to_the_other() -> None:
    # A quarter of the resamples draws the same case twice, far more than the tails of 2.5 %.
    assert scores().summary("dsc").classes[1].interval == pytest.approx((0.4, 0.8))


def test_the_interval_of_many_cases_has_the_width_of_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    livers = rng.integers(0, 101, 400)
    cases = tuple(case(f"{n}", [10, int(tp), 1], [0, 0, 0], [0, 100 - int(tp), 0]) for n, tp in enumerate(livers))
    found = scores(cases=cases)
    values = found.per_case("dsc")[:, 1]
    half = 1.96 * values.std() / math.sqrt(len(values))
    low, high = found.summary("dsc").classes[1].interval
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_equal_seeds_give_equal_intervals_and_others_differ() -> None:
    rng = np.random.default_rng(0)
    cases = tuple(case(f"{n}", [10, int(tp), 1], [0, 0, 0], [0, 9, 0]) for n, tp in enumerate(rng.integers(1, 99, 9)))
    first, again, other = (scores(cases=cases, seed=seed).summary("dsc").classes[1] for seed in (3, 3, 4))
    assert first == again
    assert first.value == other.value
    assert first.interval != other.interval


def test_a_resample_draws_as_many_cases_as_there_are() -> None:
    draws = resample(7, 50, seed=0)
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()


def test_an_interval_covers_the_middle_95_percent() -> None:
    statistics = np.column_stack([np.arange(1001.0), np.full(1001, np.nan)])
    np.testing.assert_allclose(percentile_interval(statistics), [[25, np.nan], [975, np.nan]])


def test_scores_of_no_case_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        scores(cases=())
