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
from samtailor.errors import DataError
from samtailor.inference.predictor import Predictor
from samtailor.inference.refine import MASK_LOGIT, Prompt, refine
from samtailor.inference.result import Result
from samtailor.labels import LabelSpace
from samtailor.models.class_aware import Features, Prompts
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
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

    def test_a_mask_is_shown_as_logits(self, whole: Known) -> None:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[8:24, 16:48] = True
        whole.refined(Prompt("liver", 0, mask=mask))
        (shown,) = whole.shown
        assert shown.points is shown.boxes is shown.labels is None
        assert shown.masks is not None
        side = shown.masks.shape[-1]
        square = np.zeros((WIDTH, WIDTH), np.float32)
        square[:HEIGHT] = mask
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


def test_the_rims_of_a_slice_are_inside(whole: Known) -> None:
    whole.refined(Prompt("liver", 0, points=((0, 0), (WIDTH, HEIGHT)), box=(0, 0, WIDTH, HEIGHT)))
    for places in (((-0.5, 3),), ((3, HEIGHT + 0.5),), ((WIDTH + 0.5, 3),), ((3, -0.5),)):
        with pytest.raises(DataError, match=f"x up to {WIDTH} and y up to {HEIGHT}"):
            whole.refined(Prompt("liver", 0, points=places))


@pytest.mark.parametrize("box", [(5, 1, 5, 3), (1, 3, 2, 3), (5, 1, 2, 3), (1, 3, 2, 1)])
def test_a_box_without_inside_is_refused(whole: Known, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(DataError, match="expected a box"):
        whole.refined(Prompt("liver", 0, box=box))
