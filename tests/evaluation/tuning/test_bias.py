"""The search for logit offsets: every score along an offset is that of the label it gives."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.evaluation.predictions import PredictedCase
from samtailor.evaluation.tuning import bias as search
from samtailor.evaluation.tuning.bias import OFFSETS, best_bias, choose, counts_of
from samtailor.evaluation.tuning.cases import MeanScore, TunedCase
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.overlap import Overlap

CLASSES = 4
MEAN = MeanDsc()
LABELS = LabelSpace.from_names(("background", "a", "b", "c"))


def case(seed: int, shift: tuple[float, ...] = (0, 0, 0, 0), noise: float = 1.5, classes: int = CLASSES) -> TunedCase:
    """Noisy logits of a random truth, shifted: the opposite offsets are about the best."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, (2, 30, 20), p=[0.7, *[0.3 / (classes - 1)] * (classes - 1)]).astype(np.int16)
    logits = 2 * (np.arange(classes)[:, None, None, None] == truth) + noise * random.normal(
        size=(classes, *truth.shape)
    )
    logits += np.array(shift[:classes])[:, None, None, None]
    softmax = np.exp(logits) / np.exp(logits).sum(0)
    truth[0, :3] = IGNORE
    image = np.zeros((2, 1, 30, 20), np.float16)
    probabilities = softmax.astype(np.float16)
    label = probabilities.argmax(0).astype(np.int16)
    return TunedCase(PredictedCase(f"case {seed}", image, truth, label), probabilities)


def labelled(one: TunedCase, bias: np.ndarray) -> TunedCase:
    """The case with the label that offsets give."""
    scores = np.log(np.maximum(one.probabilities.astype(np.float32), 2.0**-25)) + bias[:, None, None, None].astype("f4")
    prediction = scores.argmax(0).astype(np.int16)
    return TunedCase(PredictedCase(one.case.name, one.case.image, one.case.truth, prediction), one.probabilities)


@pytest.mark.parametrize("rows", [1 << 22, 100])  # in blocks of one row
@pytest.mark.parametrize("index", [0, 1, 3])
def test_scores_along_an_offset_are_those_of_the_labels(index: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_AT_ONCE", rows)
    cases, bias = [case(seed) for seed in range(3)], np.array([0, 0.5, -0.3, 1.2])
    along = [search._counts_along(one, bias, index) for one in cases]
    for place in (0, 30, 60, 67, 120):
        offsets = bias.copy()
        offsets[index] = OFFSETS[place]
        expected = MeanScore("dsc", LABELS)([labelled(one, offsets) for one in cases])
        at = Overlap(*(np.stack([part[place] for part in some]) for some in zip(*along, strict=True)))
        assert MEAN(at) == pytest.approx(expected, abs=1e-9)
        assert MEAN(counts_of(cases, tuple(offsets))) == pytest.approx(expected, abs=1e-9)


def test_equal_probabilities_go_to_the_first_class() -> None:
    one = case(0)
    one.probabilities[:] = 0.25
    one.case.prediction[:] = 0
    found = np.stack(search._counts_along(one, np.zeros(CLASSES), 2))
    np.testing.assert_array_equal(found[:, 60], np.stack(counts_of([one], (0.0,) * CLASSES))[:, 0])
    expected = np.stack(counts_of([labelled(one, np.array([0, 0, 0.1, 0]))], (0, 0, 0.1, 0)))[:, 0]
    np.testing.assert_array_equal(found[:, 61], expected)


@pytest.mark.parametrize("is_pooled", [False, True])
def test_two_classes_have_the_best_of_all_offsets(is_pooled: bool) -> None:
    mean = MeanDsc(is_pooled)
    cases = [case(seed, (0, -1.5), classes=2) for seed in range(3)]
    (_, offset) = best_bias(cases, 2, mean)
    scores = [mean(counts_of(cases, (0.0, float(value)))) for value in OFFSETS]
    assert mean(counts_of(cases, (0.0, offset))) == max(scores)
    assert offset > 0.5


def test_pooled_a_case_of_many_pixels_outweighs_others() -> None:
    """Two small targets want the offset down, a large one, of which much is missed, up."""
    small, large = case(0, (0, 2), classes=2), case(1, (0, -2), classes=2)
    for array in (small.case.truth, small.probabilities):
        assert array.shape[-1] == 20
    small = TunedCase(
        PredictedCase("small", small.case.image, small.case.truth[:1, :6], small.case.prediction[:1, :6]),
        small.probabilities[:, :1, :6],
    )
    cases = [small, small, large]
    assert best_bias(cases, 2, MeanDsc(is_pooled=True))[1] > best_bias(cases, 2, MeanDsc())[1]


def test_shifts_are_taken_back_and_hold_on_other_cases() -> None:
    shift = (0, 2, -2, 1)
    choice = choose([case(seed, shift) for seed in range(4)], CLASSES, MEAN)
    straight = MEAN(counts_of([case(seed) for seed in range(4)], (0.0,) * CLASSES))
    assert choice.holds
    assert choice.held_out is not None
    assert MEAN(choice.without) < straight <= MEAN(choice.chosen) + 0.01
    assert MEAN(choice.held_out) > straight - 0.03
    assert choice.bias[0] == 0


def test_each_half_is_scored_by_what_the_other_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case(seed) for seed in range(5)]
    chosen = {("case 0", "case 2", "case 4"): (0.0, 1, 0, 0), ("case 1", "case 3"): (0.0, 0, -1, 0)}
    monkeypatch.setattr(search, "best_bias", lambda some, *_: chosen.get(tuple(c.case.name for c in some), (0.0,) * 4))
    held_out = choose(cases, CLASSES, MEAN).held_out
    assert held_out is not None
    found = np.stack(held_out)
    np.testing.assert_array_equal(found[:, 1::2], np.stack(counts_of(cases[1::2], (0.0, 1, 0, 0))))
    np.testing.assert_array_equal(found[:, ::2], np.stack(counts_of(cases[::2], (0.0, 0, -1, 0))))


def test_a_gain_that_only_its_own_cases_have_does_not_hold() -> None:
    # Each half wants the opposite of the other; one of them weighs a little more.
    halves = [case(seed, (0, 2.5 if seed % 2 else -2.5, 0, 0)) for seed in range(4)]
    choice = choose(halves, CLASSES, MEAN)
    assert choice.held_out is not None
    assert MEAN(choice.held_out) < MEAN(choice.without)
    assert not choice.holds


def test_of_few_cases_the_check_is_left_out() -> None:
    choice = choose([case(seed, (0, 2, 0, 0)) for seed in range(3)], CLASSES, MEAN)
    assert choice.held_out is None
    assert choice.holds


@pytest.mark.parametrize("mean", [MeanDsc(), MeanDsc(is_pooled=True), MeanDsc(is_pooled=True, has_background=True)])
def test_a_class_that_no_truth_shows_is_not_given_up(mean: MeanDsc) -> None:
    """Specks of it score 0 while they are there, and count nowhere once they are gone."""
    cases = [case(seed, noise=0.5) for seed in range(4)]
    for one in cases:
        one.case.truth[one.case.truth == 3] = 0
        one.probabilities[:, 0, 10, :2] = np.array([0.1, 0.1, 0.1, 0.7])[:, None]
    choice = choose(cases, CLASSES, mean)
    assert choice.bias[3] == 0
    assert np.isnan(mean.by_class(choice.without)[3])
    assert abs(np.array(choice.bias)).max() < 2


def test_where_no_truth_shows_anything_nothing_is_chosen() -> None:
    one = case(0)
    one.case.truth[one.case.truth > 0] = 0
    choice = choose([one], CLASSES, MEAN)
    assert choice.bias == (0, 0, 0, 0)
    assert choice.kept == (None, choice.without)
    assert np.isnan(MEAN(choice.without))


def test_a_class_that_is_nowhere_keeps_its_offset() -> None:
    one = case(0)
    one.case.truth[one.case.truth == 3] = 0
    one.probabilities[3] = 0
    assert best_bias([one], CLASSES, MEAN)[3] == 0
