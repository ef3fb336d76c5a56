"""Prediction on the slices' own grid: windows cover everything, stitching changes nothing it need not change."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from samtailor.data.case import Void
from samtailor.data.in_memory import case_of_array
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, NotFiniteError
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, HeadOnly, Recipe
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.step import RefinementStep
from samtailor.settings import Precision, Thresholds
from samtailor.training.embeddings import case_windows
from tests.conftest import Report
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def predictor_of(base: Base, field: int | None = None, batch_size: int = 3, recipe: Recipe | None = None) -> Predictor:
    recipe = recipe or HeadOnly()
    torch.manual_seed(0)  # the same head, however often it is made
    segmenter = SegmenterModel.create(base.name, recipe, LABELS, Preprocessing(Range(), 32, field, 1))
    return Predictor(segmenter, batch_size, "cpu")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((5, 1, 40, 56)).astype(np.float16)


@pytest.mark.parametrize("field", [None, 32, 24])
def test_labels_lie_on_the_grid_of_the_image(field: int | None, tiny_base: Base, image: np.ndarray) -> None:
    label = predictor_of(tiny_base, field).label(image)
    assert label.shape == (5, 40, 56)
    assert label.dtype == np.int16
    assert set(np.unique(label)) <= {0, 1, 2}


@pytest.mark.parametrize("field", [None, 24])
def test_the_size_of_batches_changes_nothing(field: int | None, tiny_base: Base, image: np.ndarray) -> None:
    one, many = (predictor_of(tiny_base, field, n).probabilities(image) for n in (1, 7))
    np.testing.assert_allclose(one, many, atol=2e-3)


@pytest.mark.parametrize("field", [None, 24])
def test_the_label_is_the_argmax_of_the_probabilities(field: int | None, tiny_base: Base, image: np.ndarray) -> None:
    predictor = predictor_of(tiny_base, field)
    probabilities = predictor.probabilities(image).astype(np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=5e-3)
    label = predictor.label(image)
    chosen = np.take_along_axis(probabilities, label[None].astype(int), axis=0)[0]
    assert (chosen >= probabilities.max(axis=0) - 1e-3).all()


@pytest.mark.parametrize("threshold", [None, {"liver": 0.0}])
def test_the_label_is_the_same_where_probabilities_are_kept(threshold: Thresholds | None, tiny_base: Base) -> None:
    """Also where rounding makes those of several classes equal."""
    model = predictor_of(tiny_base, 24).model
    image = np.random.default_rng(0).random((1, 1, 80, 90)).astype(np.float16)
    expected = Predictor(model, device="cpu").label(image)
    predictor = Predictor(model, device="cpu", threshold=threshold)
    kept = np.empty(predictor.probabilities_shape(image), np.float16)
    np.testing.assert_array_equal(predictor.label(image, probabilities=kept), expected)
    assert (kept.argmax(axis=0) != expected).any()


def test_a_slice_of_the_networks_size_is_the_network_s_own_output(tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base)
    image = np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float16)
    with torch.inference_mode():
        logits = predictor.model(torch.from_numpy(image.astype(np.float32)).expand(1, 3, 32, 32))
    np.testing.assert_array_equal(predictor.label(image)[0], logits.argmax(1)[0].numpy())


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_half_precision_moves_probabilities_a_little(precision: Precision, tiny_base: Base, image: np.ndarray) -> None:
    predictor = predictor_of(tiny_base)
    single = predictor.probabilities(image).astype(np.float32)
    predictor.precision = precision
    half = predictor.probabilities(image).astype(np.float32)
    assert 0 < np.abs(half - single).max() < 0.05


def test_on_a_cpu_auto_is_single_precision_whatever_surrounds_it(tiny_base: Base, image: np.ndarray) -> None:
    predictor = predictor_of(tiny_base)
    single = predictor.probabilities(image)
    predictor.precision = "auto"
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(predictor.probabilities(image), single)


@pytest.mark.parametrize("field", [None, 24])
def test_known_embeddings_give_the_same_label(field: int | None, tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, field)
    case = cached_case(LABELS)
    pieces = case_windows(case, predictor.model)
    embeddings = np.concatenate(list(predictor.embeddings(case.image, pieces)))
    same = predictor.label(case.image, embeddings=embeddings) == predictor.label(case.image)
    assert same.mean() > 0.99  # half precision may turn a tie


def test_progress_counts_slices(tiny_base: Base, image: np.ndarray, reports: list[Report]) -> None:
    predictor_of(tiny_base).label(image)
    assert reports == [("slices", done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("field", [None, 24])
@pytest.mark.parametrize("depth", [False, True])
def test_preparing_inputs_ahead_changes_nothing(
    depth: bool, field: int | None, tiny_base: Base, image: np.ndarray
) -> None:
    predictor = predictor_of(tiny_base, field, recipe=Adapter(depth=True) if depth else None)
    expected = predictor.label(image)
    predictor.inputs_ahead = True
    np.testing.assert_array_equal(predictor.label(image), expected)


def test_slices_of_a_group_are_stitched_side_by_side(tiny_base: Base, image: np.ndarray, reports: list[Report]) -> None:
    """Five slices in groups of three: each slice is what the network gives for its group, windows blended."""
    predictor = predictor_of(tiny_base, 24, batch_size=3, recipe=Adapter(depth=True))
    label = predictor.label(image)
    told = [done for _, done, _ in reports]
    assert told == sorted(told)
    assert told[-1] == 5
    np.testing.assert_array_equal(label[:3], predictor.label(image[:3]))
    np.testing.assert_array_equal(label[3:], predictor.label(image[[3, 4, 4]])[:2])


class LargestTensor(TorchDispatchMode):
    """Notes the elements of the largest tensor that an operation makes; a view of another holds nothing of its own."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not func.is_view:
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("field", [None, 24])
def test_memory_does_not_grow_with_the_picture(field: int | None, tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, field)
    predictor.label(np.zeros((1, 1, 24, 48), np.float16))  # constants are made once
    largest = []
    for height in (200, 1600):
        with LargestTensor() as seen:
            predictor.label(np.zeros((1, 1, height, 48), np.float16))
        largest.append(seen.elements)
    if field is None:  # one window: the enlarged logits never exist as a whole, the picture itself does
        assert largest[1] <= max(1600 * 1600, largest[0])
        assert largest[1] < len(LABELS) * 1600 * 1600
    else:
        assert largest[1] == largest[0]


@pytest.mark.parametrize("field", [None, 24, 64])
@pytest.mark.parametrize("depth", [False, True])
def test_bands_come_from_top_to_bottom_and_are_the_label(
    depth: bool, field: int | None, tiny_base: Base, image: np.ndarray
) -> None:
    predictor = predictor_of(tiny_base, field, recipe=Adapter(depth=True) if depth else None)
    kept = np.empty(predictor.probabilities_shape(image), np.float16)
    label = predictor.label(image, probabilities=kept)
    ends = [0] * len(image)
    for band in predictor.bands(image, probabilities=True):
        assert band.rows.start == ends[band.index]
        ends[band.index] = band.rows.stop
        np.testing.assert_array_equal(band.label, label[band.index, band.rows])
        np.testing.assert_array_equal(band.probabilities, kept[:, band.index, band.rows])
    assert ends == [40] * len(image)
    assert all(band.probabilities is None for band in predictor.bands(image))


@pytest.mark.parametrize("height", [70, 75, 200])
def test_bands_of_some_rows_are_those_of_all(height: int, tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, 24)
    image = np.random.default_rng(0).random((2, 1, height, 40)).astype(np.float16)
    every = {(band.index, band.rows.start): band for band in predictor.bands(image, probabilities=True)}
    starts = sorted({start for _, start in every})
    for first, last in ((0, 2), (2, len(starts)), (1, 3)):
        rows = slice(starts[first], [*starts, height][last])
        found = list(predictor.bands(image, probabilities=True, rows=rows))
        assert [band.rows.start for band in found] == 2 * starts[first:last]
        for band in found:
            expected = every[band.index, band.rows.start]
            np.testing.assert_array_equal(band.label, expected.label)
            # Some CPUs sum in another order where a batch has other windows beside it: a step of float16 at most.
            np.testing.assert_allclose(band.probabilities, expected.probabilities, rtol=0, atol=2**-11)


def test_across_a_wide_picture_only_overlaps_of_windows_are_held(tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, 24)
    predictor.label(np.zeros((1, 1, 24, 48), np.float16))  # constants are made once
    with LargestTensor() as seen:
        predictor.label(np.zeros((1, 1, 60, 4_000), np.float16))
    assert seen.elements < len(LABELS) * 12 * 4_000, "half of a row of windows"


@pytest.mark.parametrize("field", [None, 24])
def test_scaling_slices_where_they_are_looked_at_changes_nothing(field: int | None, tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, field)
    view = predictor.model.preprocessing.prepare(case_of_array(np.arange(4000).reshape(4, 40, 25) % 255, (1, 1, 1)))
    np.testing.assert_array_equal(predictor.label(view), predictor.label(np.asarray(view)))


@dataclass(frozen=True)
class Witness(RefinementStep):
    """Notes what it is given, and paints one pixel."""

    seen: ClassVar[list[Any]] = []
    pixel: int = 0

    def __call__(self, label: Any, probabilities: Any, slices: Any, spacing: Any) -> Any:
        self.seen.append((label, probabilities, slices, spacing))
        painted = label.copy()
        painted[0, 0, self.pixel] = 2
        return painted


class Sceptic(Witness):
    needs_probabilities = True


@pytest.fixture
def seen() -> list[Any]:
    Witness.seen.clear()
    return Witness.seen


def test_refinement_steps_come_last_one_after_the_other(tiny_base: Base, image: np.ndarray, seen: list[Any]) -> None:
    predictor = predictor_of(tiny_base)
    plain = predictor.label(image)
    predictor.refinement = (Witness(pixel=3), Witness(pixel=5))
    refined = predictor.label(image, (5.0, 1.0, 2.0))
    expected = plain.copy()
    expected[0, 0, [3, 5]] = 2
    np.testing.assert_array_equal(refined, expected)
    (first, probabilities, slices, spacing), (second, *_) = seen
    np.testing.assert_array_equal(first, plain)
    assert second[0, 0, 3] == 2
    assert (probabilities, slices is image, spacing) == (None, True, (5.0, 1.0, 2.0))


def test_probabilities_are_kept_for_the_step_that_needs_them(
    tiny_base: Base, image: np.ndarray, seen: list[Any]
) -> None:
    predictor = predictor_of(tiny_base, 24)
    expected = predictor.probabilities(image)
    predictor.refinement = (Sceptic(),)
    predictor.label(image)
    np.testing.assert_array_equal(seen[0][1], expected)


@pytest.mark.usefixtures("crf")
def test_a_saved_step_that_cannot_work_here_is_refused_before_any_work(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = predictor_of(tiny_base).model
    model.practice = Practice(refinement=({"kind": "crf"},))
    Predictor(model, device="cpu")
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(ConfigError, match=r"pip install 'samtailor\[crf\]'"):
        Predictor(model, device="cpu")
    Predictor(model, device="cpu", refinement=())


def test_more_probabilities_than_memory_holds_lie_on_disk_meanwhile(
    tiny_base: Base, image: np.ndarray, seen: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    predictor = predictor_of(tiny_base)
    predictor.refinement = (Sceptic(),)
    expected = predictor.label(image)
    monkeypatch.setattr("samtailor.inference.room._IN_MEMORY", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    np.testing.assert_array_equal(predictor.label(image), expected)
    (_, in_memory, *_), (_, on_disk, *_) = seen
    assert (type(in_memory), type(on_disk)) == (np.ndarray, np.memmap)
    np.testing.assert_array_equal(on_disk, in_memory)
    assert not list(tmp_path.iterdir())  # the file has no name


def test_probabilities_that_are_asked_for_are_shown_to_the_steps_and_not_refined(
    tiny_base: Base, image: np.ndarray, seen: list[Any]
) -> None:
    predictor = predictor_of(tiny_base)
    expected = predictor.probabilities(image)
    predictor.refinement = (Witness(),)
    kept = np.empty(predictor.probabilities_shape(image), np.float16)
    predictor.label(image, probabilities=kept)
    assert seen[0][1] is kept
    np.testing.assert_array_equal(kept, expected)


def test_what_is_asked_for_goes_before_what_was_saved(tiny_base: Base) -> None:
    model = predictor_of(tiny_base).model
    model.practice = Practice(refinement=({"kind": "largest-component"},))
    assert Predictor(model, device="cpu").refinement == (LargestComponent(),)
    assert Predictor(model, device="cpu", refinement=()).refinement == ()


@pytest.mark.parametrize("what", ["image", "weights"])
def test_scores_that_are_no_numbers_are_refused(what: str, tiny_base: Base, image: np.ndarray) -> None:
    predictor = predictor_of(tiny_base, batch_size=2)
    if what == "image":
        image = image.copy()
        image[3, 0, 5, 5] = np.nan
    else:
        with torch.no_grad():
            predictor.model.network.mask_decoder.mask_tokens.weight[2] = torch.inf
    expected = f"expected finite scores, found NaN or infinity in slice {3 if what == 'image' else 0}"
    with pytest.raises(NotFiniteError, match=expected):
        predictor.label(image)


def test_a_refinement_sees_nothing_where_there_is_nothing(
    tiny_base: Base, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = np.zeros((5, 40, 56), np.int16)
    found[:, :, :30] = 1  # where there is nothing, whatever the network says
    found[:, 5:9, 40:44] = 1
    where = np.zeros(found.shape, np.bool_)
    where[:, :, :35] = True
    predictor = predictor_of(tiny_base)
    monkeypatch.setattr(predictor, "_most_probable", lambda *_: found.copy())
    case = case_of_array(image.swapaxes(0, 1).astype(np.float32), (1.0, 1.0, 1.0))
    object.__setattr__(case.geometry, "void", Void(where, "a test"))
    np.testing.assert_array_equal(segment(predictor, case).label, found)
    predictor.refinement = (LargestComponent(),)
    np.testing.assert_array_equal(segment(predictor, case).label, np.where(where, 0, found))
