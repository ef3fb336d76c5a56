"""Views at test time: a flipped image has the flipped prediction; what the network says of each view is averaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import samtailor
from samtailor.cli import main
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.errors import ConfigError
from samtailor.inference.ensemble import Ensemble
from samtailor.inference.predictor import Predictor
from samtailor.inference.views import FLIPS, WindowView, views_of
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, HeadOnly, Recipe
from samtailor.refinement.outline import Outline
from samtailor.settings import Flip, TestTimeFlip

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def segmenter(
    base: Base, field: int | None = None, recipe: Recipe | None = None, flip: Flip | None = None, wide: float = 0.0
) -> SegmenterModel:
    """Random weights whose classes differ by about 2 in their logits."""
    preprocessing = Preprocessing(Range(), 64, field, 3)
    model = SegmenterModel.create(
        base.name, recipe or HeadOnly(), LABELS, preprocessing, practice=Practice(flip=flip, wide=wide)
    ).eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(random_image(3, 64, 64).astype(np.float32)))
    scale = 2 / (logits - logits.mean(1, keepdim=True)).std()
    with torch.no_grad():
        hypernetworks = model.network.mask_decoder.hypernetworks
        hypernetworks.weights[-1] *= scale.clone()
        hypernetworks.biases[-1] *= scale.clone()
    return model


def random_image(slices: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((slices, 3, height, width)).astype(np.float16)


AXES: dict[TestTimeFlip, tuple[int, ...]] = {"columns": (-1,), "both": (-2, -1)}


@pytest.mark.parametrize("field", [None, 24, 96])
@pytest.mark.parametrize("size", [(2, 41, 57), (1, 70, 33)])  # windows in the middle at half a pixel; filled up
@pytest.mark.parametrize("tta", ["columns", "both"])
def test_a_flipped_image_has_the_flipped_prediction(
    tta: TestTimeFlip, size: tuple[int, int, int], field: int | None, any_base: Base
) -> None:
    predictor, image = Predictor(segmenter(any_base, field), 3, "cpu", tta=tta), random_image(*size)
    plain = Predictor(predictor.model, 3, "cpu")
    expected, label = predictor.probabilities(image), predictor.label(image)
    for axis in AXES[tta]:
        found = np.flip(predictor.probabilities(np.flip(image, axis)), axis)
        np.testing.assert_allclose(found, expected, atol=2e-3)
        assert (np.flip(predictor.label(np.flip(image, axis)), axis) == label).mean() > 0.999
        without = np.flip(plain.probabilities(np.flip(image, axis)), axis)
        assert np.abs(without - plain.probabilities(image)).max() > 0.01


def test_logits_under_all_flips_are_averaged(tiny_base: Base) -> None:
    model = segmenter(tiny_base)
    image = random_image(1, 64, 64)
    inputs = torch.from_numpy(image.astype(np.float32))
    with torch.inference_mode():
        logits = [model.eval()(inputs.flip(axes)).flip(axes) for axes in ([], [-1], [-2], [-2, -1])]
    for tta, count in (("columns", 2), ("both", 4)):
        found = Predictor(model, 2, "cpu", tta=tta).probabilities(image)[:, 0]  # type: ignore[arg-type]
        expected = torch.stack(logits[:count]).mean(0).softmax(1)[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


@pytest.mark.parametrize("recipe", [HeadOnly(), Adapter(depth=True)], ids=str)
def test_the_size_of_batches_changes_nothing(recipe: Recipe, tiny_base: Base) -> None:
    model, image = segmenter(tiny_base, 24, recipe, wide=0.4), random_image(5, 40, 56)
    one, many = (Predictor(model, size, "cpu", tta="both").probabilities(image) for size in (1, 7))
    np.testing.assert_allclose(one, many, atol=2e-3)


def test_preparing_inputs_ahead_changes_nothing(tiny_base: Base) -> None:
    predictor, image = Predictor(segmenter(tiny_base, 32), 3, "cpu", tta="both"), random_image(2, 40, 56)
    expected = predictor.label(image)
    predictor.inputs_ahead = True
    np.testing.assert_array_equal(predictor.label(image), expected)


def test_what_is_drawn_again_is_averaged_too(tiny_base: Base) -> None:
    model, image = segmenter(tiny_base), random_image(1, 40, 56)
    again = Predictor(model, 3, "cpu", refinement=(Outline(),), tta="columns")
    expected, found = (again.probabilities(some) for some in (image, image[..., ::-1]))
    agreement = np.isclose(found[..., ::-1], expected, atol=5e-3).mean()
    assert agreement > 0.98  # which of two objects of one size is drawn first may differ
    assert np.abs(expected - Predictor(model, 3, "cpu", tta="columns").probabilities(image)).max() > 0.01


@pytest.mark.parametrize("wide", [0.0, 0.4])
def test_rows_that_are_asked_for_are_those_of_the_whole(wide: float, tiny_base: Base) -> None:
    predictor, image = Predictor(segmenter(tiny_base, 24, wide=wide), 3, "cpu", tta="both"), random_image(1, 97, 41)
    starts = sorted({window.y for window in predictor.windows(97, 41)})
    whole = predictor.label(image)
    part = slice(starts[1], starts[3])
    for band in predictor.bands(image, rows=part):
        np.testing.assert_array_equal(band.label, whole[0, band.rows])


@pytest.mark.parametrize(("tta", "wide"), [("columns", 0.0), (None, 0.5)])
def test_known_embeddings_are_those_of_windows_as_they_are(
    tta: TestTimeFlip | None, wide: float, tiny_base: Base
) -> None:
    predictor = Predictor(segmenter(tiny_base, 8, wide=wide), tta=tta, device="cpu")
    with pytest.raises(ValueError, match="as they are"):
        predictor.label(random_image(1, 12, 12), None, np.zeros(1))


@pytest.mark.parametrize("flip", ["none", "columns", "both"])
def test_auto_is_what_the_segmenter_was_trained_with(flip: Flip, tiny_base: Base, tmp_path: Path) -> None:
    segmenter(tiny_base, flip=flip).save(tmp_path)
    image = random_image(1, 40, 56)
    model = SegmenterModel.load(tmp_path)
    found, expected = (Predictor(model, 3, "cpu", tta=tta).probabilities(image) for tta in ("auto", flip))
    np.testing.assert_array_equal(found, expected)


def test_what_a_segmenter_has_saved_is_the_default(tiny_base: Base, tmp_path: Path) -> None:
    model = segmenter(tiny_base)
    model.practice = Practice(tta="both")
    model.save(tmp_path)
    image = random_image(1, 40, 56)
    model = SegmenterModel.load(tmp_path)
    choices: tuple[TestTimeFlip | None, ...] = None, "both", "none"
    found, expected, plain = (Predictor(model, 3, "cpu", tta=tta).probabilities(image) for tta in choices)
    np.testing.assert_array_equal(found, expected)
    assert (found != plain).any()


def test_auto_is_refused_of_a_segmenter_that_does_not_say(
    tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segmenter(tiny_base).save(tmp_path / "segmenter")
    assert "flip" not in (tmp_path / "segmenter" / "segmenter.json").read_text()
    with pytest.raises(ConfigError, match="--tta columns"):
        samtailor.load(tmp_path / "segmenter").predict(np.zeros((8, 8, 3), np.uint8), tta="auto")
    np.save(tmp_path / "x.npy", np.zeros(1))
    arguments = ["predict", str(tmp_path / "segmenter"), str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--tta", "auto", "--device", "cpu"]) == 2
    assert not (tmp_path / "out").exists()


# The wide view


@pytest.mark.parametrize(
    ("window", "size"),
    [
        (Window(0, 0, 32), (100, 90)),
        (Window(40, 31, 32), (100, 90)),
        (Window(17, 58, 32), (100, 90)),
        (Window(20, 3, 31), (100, 90)),
        (Window(18, 0, 32), (50, 30)),  # which is smaller than what is shown
    ],
    ids=str,
)
def test_of_what_the_wide_view_shows_the_window_is_taken(window: Window, size: tuple[int, int]) -> None:
    wider = window.wider(size)

    def places(of: Window) -> torch.Tensor:
        """Row and column, in pixels of the slice, of each of 64 x 64 logits of a window, (1, 2, 64, 64)."""
        steps = (torch.arange(64) + 0.5) * of.side / 64
        return torch.stack(torch.meshgrid(of.y + steps, of.x + steps, indexing="ij"))[None]

    found = WindowView(is_wide=True, weight=0.25).weighted(places(wider), [window], size)
    at_the_rim = wider.side / 64 / 2  # beyond the middle of the last logits nothing is known
    torch.testing.assert_close(found, 0.25 * places(window), rtol=0, atol=0.25 * at_the_rim + 1e-4)
    inner = np.s_[..., 2:-2, 2:-2]
    torch.testing.assert_close(found[inner], 0.25 * places(window)[inner])


@pytest.mark.parametrize("tta", ["none", "columns", "both"])
def test_views_are_as_many_as_flips_and_a_wide_one_of_its_weight(tta: Flip) -> None:
    *flips, wide = views_of(FLIPS[tta], 0.3)
    assert (wide.is_wide, wide.weight) == (True, 0.3)
    assert [view.flip for view in flips] == list(FLIPS[tta])
    assert {view.weight for view in flips} == {0.7 / len(flips)}
    assert not any(view.is_wide for view in [*flips, *views_of(FLIPS[tta], 0.0)])
    assert views_of(FLIPS[tta], 1.0) == (WindowView(is_wide=True),)


def test_the_wide_view_is_averaged_by_its_weight(tiny_base: Base) -> None:
    model, image = segmenter(tiny_base, 24), random_image(1, 40, 40)
    # What the wide view of every window shows.
    whole = Predictor(model, 3, "cpu", windows="whole").probabilities(image)

    def found(wide: float) -> np.ndarray:
        model.practice = Practice(wide=wide)
        return Predictor(model, 3, "cpu").probabilities(image)

    logits = 0.7 * np.log(found(0.0)) + 0.3 * np.log(found(1.0))
    expected = torch.from_numpy(logits.astype(np.float32)).softmax(0)
    np.testing.assert_allclose(found(0.3), expected, atol=2e-3)
    # Enlarged in two steps, not in one: not quite the same.
    assert np.abs(found(1.0) - whole).mean() < 0.5 * np.abs(found(0.0) - whole).mean()


def test_flips_none_and_slices_that_are_seen_whole_have_no_wide_view(tiny_base: Base) -> None:
    model = segmenter(tiny_base, 24)
    for size, tta in (((20, 24), None), ((40, 40), "none")):
        image, found = random_image(1, *size), []
        for wide in (0.3, 0.0):
            model.practice = Practice(wide=wide)
            found.append(Predictor(model, 3, "cpu", tta=tta).probabilities(image))  # type: ignore[arg-type]
        np.testing.assert_array_equal(*found)
    model.practice = Practice(wide=0.3)
    predictor = Predictor(model, 3, "cpu")
    assert [len(predictor.views(*size)) for size in ((20, 24), (24, 25), (40, 40))] == [1, 2, 2]


def test_a_segmenter_keeps_the_weight_of_its_wide_views(tiny_base: Base, tmp_path: Path) -> None:
    model, image = segmenter(tiny_base, 24, wide=0.3), random_image(1, 40, 40)
    model.save(tmp_path)
    found, expected = (Predictor(one, 3, "cpu").probabilities(image) for one in (SegmenterModel.load(tmp_path), model))
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ConfigError, match=r"wide views.*in fold 1 than in fold 0: 0.3 instead of 0.0"):
        Ensemble([Predictor(segmenter(tiny_base, 24), device="cpu"), Predictor(model, device="cpu")])
