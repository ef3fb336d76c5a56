"""Tests of differences are scipy's where scipy is exact, and exact where it is not."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from samtailor.evaluation.comparison.statistics import differences, holm, least_pairs, signed_rank, smallest_p


@pytest.mark.parametrize("count", [1, 2, 3, 6, 17, 50])
def test_without_ties_it_is_scipys_exact_test(count: int) -> None:
    pairs = np.random.default_rng(count).normal(0.3, 1, count)
    assert signed_rank(pairs) == pytest.approx(wilcoxon(pairs, method="exact").pvalue, rel=1e-9)


def test_with_ties_it_counts_out_all_choices_of_signs() -> None:
    pairs = np.array([0.1, 0.1, -0.1, 0.2, 0.2, 0.3, -0.3, 0.4])
    ranks = rankdata(np.abs(pairs))
    sums = np.array([ranks[np.array(signs)].sum() for signs in product([True, False], repeat=len(pairs))])
    positive = ranks[pairs > 0].sum()
    expected = 2 * min((sums <= positive).mean(), (sums >= positive).mean())
    assert signed_rank(pairs) == pytest.approx(expected)


def test_zero_differences_are_left_out() -> None:
    pairs = np.array([0.5, 0.2, 0.1, -0.05])
    assert signed_rank(np.concatenate([pairs, np.zeros(5)])) == signed_rank(pairs)


def test_many_pairs_take_scipys_normal_approximation() -> None:
    pairs = np.random.default_rng(0).normal(0.2, 1, 80).round(1)
    changes = pairs[pairs != 0]
    assert signed_rank(pairs) == pytest.approx(wilcoxon(changes, correction=False, method="approx").pvalue)


def test_exact_and_approximate_agree_where_they_meet() -> None:
    pairs = np.random.default_rng(1).normal(0.25, 1, 50)
    assert signed_rank(pairs) == pytest.approx(wilcoxon(pairs, method="approx", correction=False).pvalue, rel=0.05)


def test_no_differences_are_no_evidence_and_no_pairs_no_test() -> None:
    assert signed_rank(np.zeros(7)) == 1
    assert math.isnan(signed_rank(np.array([])))


def test_the_rounding_of_floats_makes_no_difference() -> None:
    changes = differences(np.array([0.1 + 0.2, 0.8]), np.array([0.3, np.nan]))
    assert changes[0] == 0
    assert np.isnan(changes[1])


@pytest.mark.parametrize("pairs", [1, 3, 5, 6, 9])
def test_the_smallest_p_is_that_of_differences_of_one_sign(pairs: int) -> None:
    assert signed_rank(np.arange(1.0, pairs + 1)) == pytest.approx(smallest_p(pairs))


def test_three_cases_prove_nothing() -> None:
    assert smallest_p(3) == 0.25
    assert least_pairs(1) == 6
    assert least_pairs(14) == 10  # 14 * 2 / 2^9 = 0.055, 14 * 2 / 2^10 = 0.027


def test_holm_steps_down() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never smaller than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]


def test_holm_does_not_count_what_was_not_tested() -> None:
    corrected = holm([0.01, math.nan, 0.2])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
