"""Where a prompt is shown to the network, and where its answer counts: to the pixel, with an answer that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import DataError, DataWarning
from samtailor.inference.predictor import Predictor
from samtailor.inference.probable import REACH
from samtailor.inference.prompt import Prompt
from samtailor.inference.refine import refine
from samtailor.inference.result import Result
from samtailor.labels import LabelSpace
from samtailor.models.class_aware import Features, Prompts
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from samtailor.refinement.outline_prompts import MASK_LOGIT
from samtailor.segmenter import Segmenter

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))
HEIGHT, WIDTH = 40, 64
SIZE = 32


class Known:
    """A segmenter whose answer to prompts is known: everything (1), nothing (-1), or a mask of the network's side."""

    def __init__(self, base: Base, monkeypatch: pytest.MonkeyPatch, field: int | None = None) -> None:
        preprocessing = Preprocessing(Range(0, 255), SIZE, field, 1)
        torch.manual_seed(0)
        self.segmenter = Segmenter(SegmenterModel.create(base.name, HeadOnly(), LABELS, preprocessing).eval())
        self.predictor = Predictor(self.segmenter.model, device="cpu")
        self.shown: list[Prompts] = []
        self.answer = torch.ones(1, SIZE, SIZE)
        monkeypatch.setattr(self.segmenter.model.network, "decode_prompted", self._decode)
        image = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH)).astype(np.float32)
        self.result = self.segmenter.predict(image, spacing=(1.0, 1.0, 1.0), probabilities=True)

    def _decode(self, features: Features, prompts: Prompts) -> Tensor:
        self.shown.append(prompts)
        return self.answer

    def refined(self, prompt: Prompt, label: int = 0) -> Result:
        return refine(self.predictor, replace(self.result, label=np.full_like(self.result.label, label)), [prompt])


@pytest.fixture
def whole(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> Known:
    """Sees whole slices: a square of 64 pixels becomes one of 32."""
    return Known(tiny_base, monkeypatch)


@pytest.fixture
def windowed(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> Known:
    """Sees windows of 16 pixels."""
    return Known(tiny_base, monkeypatch, field=16)


def assert_box(prompts: Prompts, *expected: float) -> None:
    assert prompts.boxes is not None
    torch.testing.assert_close(prompts.boxes, torch.tensor([expected], dtype=torch.float32))


class TestShown:
    def test_points_and_boxes_are_in_pixels_of_the_networks_input(self, whole: Known) -> None:
        box = (10.0, 20.0, 31.0, 33.0)
        whole.refined(Prompt("liver", 1, points=((12, 22), (14, 24)), not_points=((2, 4),), box=box))
        (shown,) = whole.shown
        assert_box(shown, 5, 10, 15.5, 16.5)
        assert shown.points is not None
        assert shown.points.tolist() == [[[6, 11], [7, 12], [1, 2]]]
        assert shown.labels is not None
        assert shown.labels.tolist() == [[1, 1, 0]]
        assert shown.masks is None

    def test_a_window_has_the_prompt_in_its_middle(self, windowed: Known) -> None:
        windowed.refined(Prompt("liver", 1, box=(26, 16, 36, 24)))  # 8 to 24 by 12 to 28 around (31, 20)
        assert_box(windowed.shown[0], *(2 * (x - low) for x, low in ((26, 23), (16, 12), (36, 23), (24, 12))))

    def test_a_window_grows_with_what_it_has_to_show_and_stays_in_the_slice(self, windowed: Known) -> None:
        windowed.refined(Prompt("liver", 1, box=(2, 4, 26, 14)))  # 1.25 x 24 pixels wide, at the left and upper rim
        assert_box(windowed.shown[0], *(x * SIZE / 30 for x in (2, 4, 26, 14)))

    @pytest.mark.parametrize(("kind", "inside"), [("bool", 1), ("uint8", 255), ("float32", 0.5)])
    def test_a_mask_is_shown_as_logits(self, kind: str, inside: float, whole: Known) -> None:
        mask = np.zeros((HEIGHT, WIDTH), kind)
        mask[8:24, 16:48] = inside
        whole.refined(Prompt("liver", 0, mask=mask))
        (shown,) = whole.shown
        assert shown.points is shown.boxes is shown.labels is None
        assert shown.masks is not None
        side = shown.masks.shape[-1]
        square = np.zeros((WIDTH, WIDTH), np.float32)
        square[:HEIGHT] = mask != 0
        share = F.interpolate(torch.tensor(square)[None, None], (side, side), mode="bilinear", antialias=True)[:, 0]
        torch.testing.assert_close(shown.masks, (2 * share - 1) * MASK_LOGIT)
        assert shown.masks.max() == pytest.approx(MASK_LOGIT)
        assert shown.masks.min() == -MASK_LOGIT

    def test_a_window_holds_the_whole_mask(self, windowed: Known) -> None:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[20:24, 30:34] = True
        windowed.refined(Prompt("liver", 0, mask=mask, points=((40.5, 22),)))
        (shown,) = windowed.shown
        assert shown.points is not None
        x, y = shown.points[0, 0].tolist()
        left, top = 40.5 - x / 2, 22 - y / 2
        assert left <= 30
        assert left + 16 > 40.5
        assert top <= 20
        assert top + 16 >= 24
        assert shown.masks is not None
        assert (shown.masks > 0).sum() * (16 / shown.masks.shape[-1]) ** 2 == 16  # all of the mask's pixels


def changed(before: int, label: NDArray[np.int16]) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere(label != before)}


class TestAnswer:
    def test_a_box_speaks_for_its_inside_and_a_tenth_of_its_longer_side_around(self, whole: Known) -> None:
        after = whole.refined(Prompt("liver", 1, box=(10, 20, 30, 28)))
        assert changed(0, after.label[1]) == {(y, x) for y in range(18, 30) for x in range(8, 32)}
        assert not after.label[[0, 2]].any()
        assert (after.label[1][after.label[1] != 0] == 1).all()

    def test_points_speak_for_the_whole_window(self, whole: Known, windowed: Known) -> None:
        assert (whole.refined(Prompt("spleen", 2, points=((5, 6),))).label[2] == 2).all()
        after = windowed.refined(Prompt("spleen", 2, points=((30, 20),)))
        assert changed(0, after.label[2]) == {(y, x) for y in range(12, 28) for x in range(22, 38)}

    def test_the_mask_lies_where_the_network_draws_it(self, whole: Known) -> None:
        whole.answer = torch.full((1, SIZE, SIZE), -1.0)
        whole.answer[0, 4:8, 10:20] = 1
        after = whole.refined(Prompt("liver", 0, points=((30, 12),)))
        assert changed(0, after.label[0]) == {(y, x) for y in range(8, 16) for x in range(20, 40)}

    def test_what_a_class_loses_goes_to_the_next_most_probable(self, whole: Known) -> None:
        whole.answer = -whole.answer
        after = whole.refined(Prompt("liver", 1, box=(10, 20, 30, 30)), label=1)
        probabilities = whole.predictor.probabilities(whole.result.slices)[:, 1].astype(np.float32)
        probabilities[1] = -1
        inside = np.s_[18:32, 8:32]
        np.testing.assert_array_equal(after.label[1][inside], probabilities.argmax(axis=0)[inside])
        after.label[1][inside] = 1
        assert (after.label == 1).all()

    def test_another_class_is_not_touched_where_the_prompted_one_is_not(self, whole: Known) -> None:
        whole.answer = -whole.answer
        assert (whole.refined(Prompt("liver", 1, box=(10, 20, 30, 30)), label=2).label == 2).all()

    def test_probabilities_do_not_belong_to_the_label_any_more(self, whole: Known) -> None:
        assert whole.result.probabilities is not None
        assert whole.refined(Prompt("liver", 1, box=(10, 20, 30, 30))).probabilities is None


def blocks(*corners: tuple[int, int], side: int = 8) -> NDArray[np.bool_]:
    """Squares in a slice, from their first rows and columns."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for y, x in corners:
        mask[y : y + side, x : x + side] = True
    return mask


class TestOtherObjectsStay:
    """Two livers far apart, and prompts for one of them."""

    FIRST, SECOND = blocks((4, 4)), blocks((24, 40))

    def drawn(self, known: Known, mask: NDArray[np.bool_]) -> None:
        square = torch.full((WIDTH, WIDTH), -1.0)
        square[:HEIGHT][torch.from_numpy(mask)] = 1
        known.answer = square[::2, ::2][None]

    def corrected(self, known: Known, before: NDArray[np.bool_], prompt: Prompt) -> NDArray[np.bool_]:
        label = np.zeros_like(known.result.label)
        label[1] = before
        after = refine(known.predictor, replace(known.result, label=label), [prompt]).label
        assert not after[[0, 2]].any()
        return np.asarray(after[1] == 1)

    def test_a_click_gives_the_object_that_it_lies_on(self, whole: Known) -> None:
        self.drawn(whole, self.FIRST | self.SECOND)
        after = self.corrected(whole, blocks(), Prompt("liver", 1, points=((6, 6),)))
        np.testing.assert_array_equal(after, self.FIRST)

    def test_a_click_on_an_object_takes_nothing(self, whole: Known) -> None:
        self.drawn(whole, blocks((4, 4), side=4))
        both = self.FIRST | self.SECOND
        after = self.corrected(whole, both, Prompt("liver", 1, points=((5, 5),)))
        np.testing.assert_array_equal(after, both)

    def test_a_click_beside_an_object_takes_what_it_lies_on(self, whole: Known) -> None:
        self.drawn(whole, blocks((16, 16)))
        after = self.corrected(whole, self.FIRST | self.SECOND, Prompt("liver", 1, not_points=((42, 26),)))
        np.testing.assert_array_equal(after, self.FIRST)

    def test_a_box_changes_nothing_that_only_its_margin_reaches(self, whole: Known) -> None:
        self.drawn(whole, blocks((4, 24)))
        near = blocks((4, 36), side=2)  # in the margin of the box below
        after = self.corrected(whole, near, Prompt("liver", 1, box=(14, 2, 35, 20)))
        np.testing.assert_array_equal(after, near | blocks((4, 24)))

    def test_a_rough_mask_gives_and_takes(self, whole: Known) -> None:
        self.drawn(whole, blocks((4, 8)) | self.SECOND)
        after = self.corrected(whole, self.FIRST, Prompt("liver", 1, mask=self.FIRST))
        np.testing.assert_array_equal(after, blocks((4, 8)))

    def test_a_click_that_nothing_drawn_answers_changes_its_surroundings(self, whole: Known) -> None:
        self.drawn(whole, blocks())
        after = self.corrected(whole, self.SECOND, Prompt("liver", 1, points=((10, 10),)))
        gained = after & ~self.SECOND
        assert gained[10, 10]
        np.testing.assert_array_equal(after & self.SECOND, self.SECOND)
        rows, columns = np.nonzero(gained)
        assert np.hypot(rows - 10, columns - 10).max() <= REACH * WIDTH

    def test_a_click_beside_takes_although_the_drawn_object_holds_it(self, whole: Known) -> None:
        self.drawn(whole, self.FIRST | self.SECOND)
        after = self.corrected(whole, self.FIRST | self.SECOND, Prompt("liver", 1, not_points=((42, 26),)))
        assert not after[26, 42]
        np.testing.assert_array_equal(after & self.FIRST, self.FIRST)


class TestWithoutTraining:
    """A segmenter that has forgotten prompts goes by its class probabilities, here known ones of liver."""

    PROBABLE = 0.4 * blocks((4, 4), (4, 24), side=12) + 0.02

    @pytest.fixture
    def known(self, whole: Known, monkeypatch: pytest.MonkeyPatch) -> Known:
        whole.segmenter.model.practice = Practice(prompts="none")
        probabilities = np.zeros((3, 1, HEIGHT, WIDTH), np.float16)
        probabilities[1, 0], probabilities[0, 0] = self.PROBABLE, 0.9 - self.PROBABLE
        monkeypatch.setattr(whole.predictor, "probabilities", lambda image, slices: probabilities)
        return whole

    def corrected(self, known: Known, prompt: Prompt, before: int = 0) -> NDArray[np.bool_]:
        with pytest.warns(DataWarning, match="trained without"):
            after = known.refined(prompt, before).label
        assert not known.shown
        return np.asarray(after[prompt.slice] == 1)

    def test_a_click_gives_what_is_as_probable_and_connected(self, known: Known) -> None:
        after = self.corrected(known, Prompt("liver", 1, points=((9, 9),)))
        np.testing.assert_array_equal(after, blocks((4, 4), side=12))

    def test_a_click_reaches_a_fifth_of_the_longest_side(self, known: Known) -> None:
        after = self.corrected(known, Prompt("liver", 1, points=((50, 30),)))
        rows, columns = np.nonzero(after)
        assert np.hypot(rows - 30, columns - 50).max() == pytest.approx(REACH * WIDTH, abs=1)

    def test_a_click_beside_takes(self, known: Known) -> None:
        after = self.corrected(known, Prompt("liver", 1, not_points=((50, 30),)), before=1)
        assert not after[30, 50]
        assert after[blocks((4, 4), (4, 24), side=12)].all()

    def test_in_a_box_the_more_probable_pixels_are_given_and_the_others_taken(self, known: Known) -> None:
        box = (2.0, 2.0, 20.0, 20.0)
        given = self.corrected(known, Prompt("liver", 1, box=box))
        np.testing.assert_array_equal(given, blocks((4, 4), side=12))
        left = self.corrected(known, Prompt("liver", 1, box=box), before=1)
        np.testing.assert_array_equal(left, ~blocks((2, 2), side=18) | blocks((4, 4), side=12))

    @pytest.mark.parametrize("step", [0.0, 6e-8])  # the smallest of half precision
    def test_a_box_is_taken_as_it_is_where_its_class_is_probable_nowhere(self, step: float, known: Known) -> None:
        known.predictor.probabilities(known.result.slices, range(1, 2))[1, 0] = step * (np.arange(WIDTH) % 3)
        given = self.corrected(known, Prompt("liver", 1, box=(2, 2, 20, 20)))
        np.testing.assert_array_equal(given, blocks((2, 2), side=18))

    def test_a_rough_mask_is_taken_as_it_is(self, known: Known) -> None:
        rough = blocks((20, 20))
        np.testing.assert_array_equal(self.corrected(known, Prompt("liver", 1, mask=rough)), rough)


def test_the_rims_of_a_slice_are_inside(whole: Known) -> None:
    whole.refined(Prompt("liver", 0, points=((0, 0), (WIDTH, HEIGHT)), box=(0, 0, WIDTH, HEIGHT)))
    for places in (((-0.5, 3),), ((3, HEIGHT + 0.5),), ((WIDTH + 0.5, 3),), ((3, -0.5),)):
        with pytest.raises(DataError, match=f"x up to {WIDTH} and y up to {HEIGHT}"):
            whole.refined(Prompt("liver", 0, points=places))


@pytest.mark.parametrize("box", [(5, 1, 5, 3), (1, 3, 2, 3), (5, 1, 2, 3), (1, 3, 2, 1)])
def test_a_box_without_inside_is_refused(whole: Known, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(DataError, match="expected a box"):
        whole.refined(Prompt("liver", 0, box=box))
