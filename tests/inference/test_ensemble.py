"""The segmenter of a cross-validation is the mean of those of its folds, wherever one segmenter is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.intensity import Range
from samtailor.errors import ConfigError, DataWarning
from samtailor.inference.ensemble import Ensemble, mean_of
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.inference.refine import redraw
from samtailor.models.practice import Practice
from samtailor.models.zoo import Base
from samtailor.refinement.fill_holes import FillHoles
from samtailor.runs import CrossValidation
from samtailor.segmenter import Segmenter
from tests import generate
from tests.folds import untrained_folds
from tests.inference.test_predict import assert_most_probable


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes without a split file."""
    root = generate.nnunet_folder(tmp_path_factory.mktemp("volumes"), shape=(24, 20, 3))
    (root / "splits_final.json").unlink()
    return root


@pytest.fixture(scope="module")
def folds(tiny_base: Base, data: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    return untrained_folds(tmp_path_factory.mktemp("folds") / "cv", tiny_base, data)


@pytest.fixture
def segmenter(folds: CrossValidation) -> Segmenter:
    return samtailor.load(folds.directory)


@pytest.fixture
def alone(folds: CrossValidation) -> list[Segmenter]:
    return [samtailor.load(run.directory) for run in folds.runs]


@pytest.fixture
def file(data: Path) -> Path:
    return data / "imagesTr" / "case_0_0000.nii.gz"


@pytest.mark.parametrize("field", [None, 16])
@pytest.mark.parametrize("tta", ["none", "columns"])
def test_the_probability_of_a_class_is_the_mean(
    field: int | None, tta: str, segmenter: Segmenter, alone: list[Segmenter], file: Path
) -> None:
    for one in (segmenter, *alone):
        for model in one.models:
            model.preprocessing = replace(model.preprocessing, field=field)
    mean, *each = (one.predict(file, probabilities=True, device="cpu", tta=tta) for one in (segmenter, *alone))
    assert mean.probabilities is not None
    expected = np.mean([np.asarray(one.probabilities, np.float32) for one in each], axis=0)
    np.testing.assert_allclose(mean.probabilities, expected, atol=2e-3)
    assert_most_probable(mean.label, np.asarray(mean.probabilities))
    assert not any(np.array_equal(mean.label, one.label) for one in each)


def test_each_has_its_own_bias_and_all_the_same_threshold(
    segmenter: Segmenter, alone: list[Segmenter], file: Path
) -> None:
    for models, bias in ((segmenter.models[:1], (0.0, 2.0, 0.0)), (segmenter.models[1:], (0.0, 0.0, 1.0))):
        models[0].practice = Practice(bias=bias)
    for one, model in zip(alone, segmenter.models, strict=True):
        one.model.practice = model.practice
    mean, *each = (one.predict(file, probabilities=True, device="cpu") for one in (segmenter, *alone))
    expected = np.mean([np.asarray(one.probabilities, np.float32) for one in each], axis=0)
    np.testing.assert_allclose(mean.probabilities, expected, atol=2e-3)
    spleen = np.asarray(mean.probabilities)[2]
    threshold = float(np.median(spleen[mean.label == 2]))
    strict = segmenter.predict(file, device="cpu", threshold={"spleen": threshold})
    sure = spleen >= threshold
    np.testing.assert_array_equal(strict.label == 2, (mean.label == 2) & sure)
    assert 0 < sure.sum() < (mean.label == 2).sum()


def test_it_shows_what_it_is_and_refuses_what_is_of_one_network(
    segmenter: Segmenter, folds: CrossValidation, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert repr(segmenter).startswith("Segmenter(mean of 2 folds, tiny-sam")
    for refused in (
        lambda: segmenter.encode(file),
        lambda: segmenter.save_pretrained(tmp_path / "shared"),
        lambda: segmenter.push_to_hub("me/mean"),
        lambda: segmenter.merge_and_export(tmp_path / "shared"),
    ):
        with pytest.raises(ConfigError, match="expected one segmenter, found the mean of 2 folds"):
            refused()
    for words in (["share", str(folds.directory), "--out", str(tmp_path / "shared")], ["tune-bias", "CV", "DATA"]):
        assert main([word.replace("CV", str(folds.directory)) for word in words]) == 2
        assert f"name one: {folds.run(0).directory}" in capsys.readouterr().err
    assert not (tmp_path / "shared").exists()


def test_a_fold_that_is_not_trained_is_missed(
    folds: CrossValidation, tiny_base: Base, data: Path, tmp_path: Path
) -> None:
    other = untrained_folds(tmp_path / "cv", tiny_base, data, count=3)
    other.run(1).write_history([])
    with pytest.raises(ConfigError, match=r"the 3 runs of a cross-validation, all trained; found fold-1 unfinished"):
        samtailor.load(tmp_path / "cv")


def test_only_what_is_alike_is_averaged(segmenter: Segmenter) -> None:
    first, second = segmenter.models
    assert isinstance(mean_of([Predictor(model, device="cpu") for model in (first, second)]), Ensemble)
    second.preprocessing = replace(first.preprocessing, intensity=Range(0, 100))
    with pytest.raises(
        ConfigError, match=r"another preprocessing \(intensity\) in fold 1 than in fold 0: Range\(low=0"
    ):
        mean_of([Predictor(model, device="cpu") for model in (first, second)])
    second.preprocessing = first.preprocessing
    second.practice = Practice(tta="columns")
    with pytest.raises(ConfigError, match="another flip at test time"):
        mean_of([Predictor(model, device="cpu") for model in (first, second)])
    assert isinstance(mean_of([Predictor(model, device="cpu", tta="none") for model in (first, second)]), Ensemble)


def test_the_label_is_refined_as_by_most(segmenter: Segmenter) -> None:
    first, second = segmenter.models
    second.practice = Practice(refinement=({"kind": "fill-holes"},))
    with pytest.warns(DataWarning, match=r"some have other steps saved than \(FillHoles\(\),\), which most have"):
        most = mean_of([Predictor(model, device="cpu") for model in (first, second, second)])
    assert most.refinement == (FillHoles(),)
    told = mean_of([Predictor(model, device="cpu", refinement=()) for model in (first, second, second)])
    assert told.refinement == ()


def test_outlines_are_drawn_by_each(segmenter: Segmenter, file: Path) -> None:
    for model in segmenter.models:
        model.practice = Practice(prompts="outline")
    predictor = mean_of(
        [Predictor(model, device="cpu", refinement=(samtailor.Outline(),)) for model in segmenter.models]
    )
    result = segmenter.predict(file, device="cpu")
    again = segmenter.refine(result, samtailor.Outline(), device="cpu")
    np.testing.assert_array_equal(again.label, redraw(predictor, result).label)
    assert all(member.rough is result.label for member in predictor.members)


def test_a_prompted_mask_is_the_mean_of_what_each_draws(
    segmenter: Segmenter, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [1.0, 1.0]
    for place, model in enumerate(segmenter.models):
        model.practice = Practice(prompts="drawn")
        drawn = partial(lambda place, *_: torch.full((1, 8, 8), said[place]), place)
        monkeypatch.setattr(model.network, "decode_prompted", drawn)
    result = segmenter.predict(file, device="cpu")
    prompt = samtailor.Prompt("liver", slice=1, box=(4, 4, 16, 16))
    assert (segmenter.refine(result, [prompt], device="cpu").label[1, 4:16, 4:16] == 1).all()
    said[1] = -3.0
    assert (segmenter.refine(result, [prompt], device="cpu").label[1, 4:16, 4:16] != 1).all()


def test_files_and_scenes_are_predicted_as_in_python(
    tiny_base: Base, tmp_path: Path, reports: list[tuple[str, float, int]]
) -> None:
    root = generate.image_folder(tmp_path / "pictures", cases=4, size=(32, 32))
    folds = untrained_folds(tmp_path / "cv", tiny_base, root)
    scene = tmp_path / "scene.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 80, 40), np.uint8)
    grid = {"height": 80, "width": 40, "crs": "EPSG:32633", "transform": rasterio.Affine.scale(10, -10)}
    with rasterio.open(scene, "w", driver="GTiff", count=3, dtype="uint8", **grid) as stream:
        stream.write(pixels)
    report = predict(folds.directory, [root / "images" / "tile_0.png", scene], tmp_path / "out", probabilities=True)
    assert not report.failures
    segmenter = samtailor.load(folds.directory)
    for image, target in zip((root / "images" / "tile_0.png", scene), report.written, strict=True):
        label = segmenter.predict(image, probabilities=True).label
        np.testing.assert_array_equal(np.asarray(Image.open(target)), label[0])
    done = [amount for what, amount, _ in reports if what == "inputs"]
    assert done == sorted(done)
