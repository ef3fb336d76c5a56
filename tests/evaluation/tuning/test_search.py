"""Candidate by candidate what gains is kept, nothing else, and the next builds on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.evaluation.predictions import PredictedCase
from samtailor.evaluation.tuning.cases import MeanScore, TunedCase, TuningMetric
from samtailor.evaluation.tuning.search import Search
from samtailor.labels import LabelSpace
from samtailor.refinement.step import RefinementStep, SecondPass, Step

LABELS = LabelSpace.from_names(("background", "field", "water"))
TRUTH = np.zeros((1, 4, 10), np.int16)
TRUTH[0, 1:3, 1:5], TRUTH[0, 1:3, 6:9] = 1, 2


@dataclass(frozen=True)
class Paint(RefinementStep):
    """Gives a column to a class, for ever."""

    column: int = 0
    class_id: int = 1

    def __call__(self, label: NDArray[np.int16], *_: Any) -> NDArray[np.int16]:
        painted = label.copy()
        painted[0, 1:3, self.column] = self.class_id
        return painted


@dataclass(frozen=True)
class DrawAgain(SecondPass):
    column: int = 0

    def __call__(self, *_: Any) -> Any:
        raise AssertionError("the network does that")


def case_of(label: NDArray[np.int16]) -> TunedCase:
    image = np.zeros((1, 1, 4, 10), np.float16)
    return TunedCase(PredictedCase("a", image, TRUTH, label), np.zeros((3, 1, 4, 10), np.float16))


def searched(
    candidates: Sequence[Sequence[Step]], saved: Sequence[Step] = (), metric: TuningMetric = "dsc"
) -> tuple[list[tuple[tuple[Step, ...], float]], tuple[Step, ...], list[tuple[Step, ...]]]:
    """Steps and scores of all trials, the best one's steps, and what the network was asked for."""
    asked: list[tuple[Step, ...]] = []

    def predicted(passes: Sequence[Step]) -> tuple[TunedCase, ...]:
        asked.append(tuple(passes))
        label = np.zeros_like(TRUTH)
        label[0, 1:3, 1], label[0, 1:3, 6] = 1, 2
        for one in passes:
            assert isinstance(one, DrawAgain)
            label[0, 1:3, one.column] = TRUTH[0, 1:3, one.column]
        return (case_of(label),)

    trials, best = Search(predicted, MeanScore(metric, LABELS)).tried(candidates, saved)
    return [(trial.steps, trial.score) for trial in trials], best.steps, asked


def test_what_gains_is_kept_and_the_next_candidate_builds_on_it() -> None:
    good, better, bad, late = Paint(2), Paint(7, 2), Paint(0), Paint(3)
    trials, best, asked = searched([[bad, good, better], [bad], [late]])
    assert best == (better, late)
    assert asked == [()]  # the network predicts once
    assert [steps for steps, _ in trials] == [(), (), (bad,), (good,), (better,), (better, bad), (better, late)]
    assert trials[4][1] > trials[3][1] > trials[0][1] > trials[2][1]


def test_the_first_of_equals_is_kept_and_what_changes_nothing_is_not() -> None:
    trials, best, _ = searched([[Paint(1)], [Paint(2), Paint(3)]])
    assert best == (Paint(2),)
    assert trials[2][1] == trials[0][1]


def test_the_saved_steps_are_measured_as_a_whole() -> None:
    saved = (DrawAgain(2), Paint(3))
    trials, best, asked = searched([[Paint(2)]], saved)
    assert trials[1][0] == saved
    assert trials[1][1] > trials[2][1] > trials[0][1]
    assert best == (Paint(2),)  # of what was tried; the saved steps are compared with it
    assert asked == [(), (DrawAgain(2),)]


def test_second_passes_ask_the_network_again() -> None:
    trials, best, asked = searched([[DrawAgain(0), DrawAgain(2)], [DrawAgain(3)], [Paint(4)]])
    assert asked == [(), (DrawAgain(0),), (DrawAgain(2),), (DrawAgain(2), DrawAgain(3))]
    assert best == (DrawAgain(2), DrawAgain(3), Paint(4))
    assert trials[-1][1] == max(score for _, score in trials)


def test_the_score_is_the_mean_over_classes_but_the_background() -> None:
    (_, score), *_ = searched([])[0]
    assert score == pytest.approx((2 * 2 / (2 + 8) + 2 * 2 / (2 + 6)) / 2)
    (_, iou), *_ = searched([], metric="iou")[0]
    assert iou == pytest.approx((2 / 8 + 2 / 6) / 2)
    (_, boundary), *_ = searched([], metric="boundary_iou")[0]
    assert boundary == pytest.approx((2 / 8 + 2 / 6) / 2)  # all of it is boundary


def test_a_class_that_no_truth_shows_counts_neither_with_its_specks_nor_without() -> None:
    labels = LabelSpace.from_names((*LABELS.names, "road"))
    speck = TRUTH.copy()
    speck[0, 0, 0] = 3
    with_speck, without = case_of(speck), case_of(TRUTH)
    assert MeanScore("dsc", labels)([with_speck]) == MeanScore("dsc", labels)([without]) == 1
