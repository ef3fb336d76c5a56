"""The segmenter takes files, arrays and cases, and shows itself as it is now."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.shutil import copy

from samtailor.data.formats import read_image
from samtailor.data.in_memory import case_of_array
from samtailor.data.intensity import Range, Scaled, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, DataError, FileError
from samtailor.inference.result import Result
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base, load_base
from samtailor.recipes import LoRA
from samtailor.refinement import STEPS, outline_prompts
from samtailor.refinement.outline import Outline
from samtailor.refinement.step import RefinementStep
from samtailor.segmenter import Segmenter
from tests import generate
from tests.models.test_class_aware import take_sam_s_own_tokens

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


@pytest.fixture
def segmenter(tiny_base: Base) -> Segmenter:
    model = SegmenterModel.create(tiny_base.name, LoRA(rank=2), LABELS, Preprocessing(Range(-200, 300), 32, None, 1))
    return Segmenter(model.eval())


@pytest.fixture
def file(nnunet_folder: Path) -> Path:
    return nnunet_folder / "imagesTr" / "case_0_0000.nii.gz"


def test_a_file_an_array_and_a_case_give_the_same_label(segmenter: Segmenter, file: Path, tmp_path: Path) -> None:
    case = read_image(file)
    results = [
        segmenter.predict(image, device="cpu", spacing=spacing)
        for image, spacing in ((file, None), (str(file), None), (case, None), (case.image[0], (5.0, 2.0, 2.0)))
    ]
    for result in results:
        np.testing.assert_array_equal(result.label, results[0].label)
        assert result.case.geometry.spacing == pytest.approx((5.0, 2.0, 2.0))
    results[-1].save(tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "label.nii.gz").image[0], results[0].label)


def test_a_result_never_replaces_what_it_was_made_from(segmenter: Segmenter, file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    result = segmenter.predict(file, device="cpu", probabilities=True)
    (tmp_path / "link.nii.gz").symlink_to(file)
    for path in (file, tmp_path / "link.nii.gz"):
        with pytest.raises(FileError, match="expected a file of its own for the result, found what it was made from"):
            result.save(path)
        with pytest.raises(FileError, match="expected a file of its own"):
            result.save_probabilities(path)
    assert file.read_bytes() == before
    for _ in range(2):  # an earlier result is replaced
        result.save(tmp_path / "label.nii.gz")


def test_a_result_never_replaces_what_a_mosaic_is_made_of(segmenter: Segmenter, tmp_path: Path) -> None:
    grid = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "dtype": "float32", "count": 1}
    source = tmp_path / "scene.tif"
    with rasterio.open(source, "w", driver="GTiff", height=24, width=32, **grid) as file:
        file.write(np.linspace(-200, 300, 768, dtype=np.float32).reshape(1, 24, 32))
    copy(source, tmp_path / "scene.vrt", driver="VRT")
    result = segmenter.predict(tmp_path / "scene.vrt", device="cpu")
    with pytest.raises(FileError, match="expected a file of its own"):
        result.save(source)


def test_a_notebook_shows_what_a_segmenter_is_made_of(tiny_base: Base) -> None:
    labels = LabelSpace(("background", "<b>cell</b>"), (0, 1), ((0, 0, 0), (1, 2, 3)))
    model = SegmenterModel.create(tiny_base.name, LoRA(rank=2), labels, Preprocessing(Range(-200, 300), 32, None, 1))
    html = Segmenter(model)._repr_html_()
    for shown in (tiny_base.name, "LoRA(rank=2", "32 x 32 pixels at once", "1 channel<", "rgb(1, 2, 3)"):
        assert shown in html
    assert "&lt;b&gt;cell&lt;/b&gt;" in html
    assert "2, whose class probabilities are averaged" in Segmenter(model, model)._repr_html_()


def test_an_array_without_spacing_is_a_picture(segmenter: Segmenter) -> None:
    gray = np.random.default_rng(0).integers(0, 255, (20, 30), np.int16)
    coloured = np.repeat(gray[..., None], 3, axis=2)
    one, other = (segmenter.predict(array, device="cpu") for array in (gray, coloured))
    assert one.label.shape == (1, 20, 30)
    np.testing.assert_array_equal(one.label, other.label)
    with pytest.raises(DataError, match="expected 1 channel, found 3"):
        segmenter.predict(coloured + np.arange(3, dtype=np.int16), device="cpu")


def test_an_unknown_refinement_is_refused_before_anything_is_read(segmenter: Segmenter) -> None:
    with pytest.raises(ConfigError, match=r"refine: expected one of .*largest-component"):
        segmenter.predict("nowhere.nii.gz", refine="magic")


def test_the_copy_for_prediction_is_made_once(
    segmenter: Segmenter, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make = SegmenterModel.for_inference
    monkeypatch.setattr(SegmenterModel, "for_inference", lambda model: made.append(1) or make(model))
    for _ in range(3):
        segmenter.predict(file, device="cpu")
    assert len(made) == 1


def test_what_changes_in_the_model_shows_at_once(segmenter: Segmenter, file: Path) -> None:
    case = read_image(file)
    before = segmenter.predict(case, probabilities=True, device="cpu").probabilities
    with torch.no_grad():
        for parameter in segmenter.model.parameters():
            if parameter.requires_grad:
                parameter += 0.05
    after = segmenter.predict(case, probabilities=True, device="cpu").probabilities
    fresh = Segmenter(segmenter.model).predict(case, probabilities=True, device="cpu").probabilities
    assert before is not None
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, fresh)
    segmenter.model.preprocessing = Preprocessing(Range(0, 100), 32, None, 1)
    slices = np.asarray(segmenter.predict(case, device="cpu").slices)
    np.testing.assert_array_equal(slices, scale(case.image, Range(0, 100)).swapaxes(0, 1))


@dataclass(frozen=True)
class AllSpleen(RefinementStep):
    def __call__(self, label: Any, probabilities: Any, slices: Any, spacing: Any) -> Any:
        return np.full_like(label, 2)


def test_a_refinement_that_is_saved_later_shows_at_once(
    segmenter: Segmenter, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "all-spleen", AllSpleen)
    assert (segmenter.predict(file, device="cpu").label != 2).any()
    segmenter.model.practice = Practice(refinement=({"kind": "all-spleen"},))
    assert (segmenter.predict(file, device="cpu").label == 2).all()


def test_outlines_of_a_corrected_label_draw_its_objects_again(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "as_large_as_the_input.nii.gz"  # where nothing is resized, the label is what the network has seen
    generate.write_volume(file, generate.volume((32, 32, 6), 0)[0])
    # Masks of random tokens are all outline; those of SAM's own are objects.
    take_sam_s_own_tokens(segmenter.model.network, load_base(segmenter.model.base.base))
    result = segmenter.predict(file, device="cpu")
    again = segmenter.refine(result, Outline(), device="cpu")
    expected = segmenter.predict(file, device="cpu", refine="outline").label
    np.testing.assert_array_equal(again.label, expected)
    assert (expected != result.label).any()

    corrected = np.zeros_like(result.label)
    corrected[1, 4:14, 5:20] = 2
    seen: list[np.ndarray] = []
    parts = outline_prompts.parts_by_size
    monkeypatch.setattr(
        outline_prompts, "parts_by_size", lambda label, least: seen.append(label) or parts(label, least)
    )
    changed = segmenter.refine(replace(result, label=corrected), Outline(), device="cpu")
    assert len(seen) == len(corrected)
    assert [sorted(np.unique(label)) for label in seen] == [[0], [0, 2], *[[0]] * (len(seen) - 2)]
    np.testing.assert_array_equal(np.delete(changed.label, 1, 0), np.delete(result.label, 1, 0))
    assert changed.probabilities is None


def test_it_shows_itself_in_a_line(segmenter: Segmenter) -> None:
    assert segmenter.classes == ("background", "liver", "spleen")
    text = repr(segmenter)
    assert "LoRA(rank=2" in text
    assert text.endswith("32 pixels: background, liver, spleen)")


def test_images_of_pillow_and_tensors_give_the_label_of_their_array(segmenter: Segmenter) -> None:
    gray = np.random.default_rng(0).integers(-200, 300, (20, 30)).astype(np.int32)
    label = segmenter.predict(gray, device="cpu").label
    for image in (Image.fromarray(gray), torch.from_numpy(gray), torch.from_numpy(gray)[None]):
        np.testing.assert_array_equal(segmenter.predict(image, device="cpu").label, label)


def test_features_are_the_embeddings_that_masks_are_drawn_from(segmenter: Segmenter) -> None:
    volume = np.random.default_rng(0).integers(-200, 300, (3, 24, 24)).astype(np.int16)
    found = segmenter.encode(volume, spacing=(5.0, 2.0, 2.0), device="cpu")
    images = scale(volume[:, None], segmenter.model.preprocessing.intensity).astype(np.float32)
    larger = torch.nn.functional.interpolate(torch.from_numpy(images), (32, 32), mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = segmenter.model.encode(larger.expand(-1, 3, -1, -1))[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert not found.requires_grad


class TestResult:
    """What is found in an image shows itself."""

    @staticmethod
    def result() -> Result:
        case = case_of_array(np.full((4, 10), 100, np.uint8), name="tile")
        label = np.zeros((1, 4, 10), np.int16)
        label[0, :, 5:] = 2
        return Result(case, Scaled(case.image.swapaxes(0, 1), (0.0, 200.0)), label, LABELS)

    def test_in_a_line(self) -> None:
        assert repr(self.result()) == "Result(tile, 4 x 10: background 50.0%, spleen 50.0%)"

    def test_as_a_picture(self) -> None:
        picture = np.asarray(self.result().overlay(opacity=0.5))
        assert picture.shape == (4, 10, 3)
        np.testing.assert_array_equal(picture[0, 0], [128, 128, 128])
        np.testing.assert_allclose(picture[0, 9], (128 + np.array(LABELS.palette[2])) / 2, atol=1)

    def test_as_a_figure(self) -> None:
        with Image.open(io.BytesIO(self.result()._repr_png_())) as figure:
            assert figure.format == "PNG"

    def test_in_a_notebook_with_what_each_class_takes(self) -> None:
        html = self.result()._repr_html_()
        assert 'src="data:image/png;base64,' in html
        assert '<th scope="row">spleen</th><td>20 pixels</td></tr>' in html
        case = replace(self.result().case, name='"><script>')
        assert "<script" not in replace(self.result(), case=case)._repr_html_()

    def test_in_a_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[str] = []
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
        monkeypatch.setattr(Image.Image, "show", lambda picture, title: shown.append(title))
        self.result().show()
        assert shown == ["tile"]
