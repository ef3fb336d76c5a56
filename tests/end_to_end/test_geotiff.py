"""Georeferenced scenes with polygons as labels go all the way: check, train, evaluate, predict, score, share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import label_format_of, read_case
from samtailor.errors import DataError, DataWarning
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.score import score
from samtailor.inference.predict import predict
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from samtailor.segmenter import load
from samtailor.sharing.share import share
from samtailor.training.settings import SamplingConfig
from samtailor.training.train import resume, train
from samtailor.zeroshot.baseline import baseline
from tests import generate
from tests.generate_scenes import EMPTY_ROWS, SIZE, scene_folder


def fitted(data: Path, out: Path, base: Base) -> Path:
    sampling = SamplingConfig(image_size=base.image_size)
    return train(
        data=data, out=out, base=base.name, recipe=HeadOnly(), epochs=1, device="cpu", sampling=sampling
    ).directory


def test_polygons_in_any_crs_are_the_label_that_was_traced(tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data")
    dataset = open_dataset(data)
    assert {case.label.suffix for case in dataset.cases if case.label} == {".tif", ".gpkg", ".geojson", ".shp"}
    for number, case in enumerate(dataset.cases):
        label = read_case(case, dataset.labels).label
        assert label is not None
        assert (label[0, :EMPTY_ROWS] == -1).all()
        np.testing.assert_array_equal(label[0, EMPTY_ROWS:], generate.picture(SIZE, number)[1][EMPTY_ROWS:])


def test_every_verb_takes_scenes_and_three_of_their_bands(tiny_base: Base, tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data", use_bands=["nir", "red", 2])
    report = check(data)
    assert not report.errors
    assert "nir, red, green (of each image number 4, 3, 2)" in str(report)
    assert {finding.expected for finding in report.findings} == {"data in all 1920 pixels"}

    run = fitted(data, tmp_path / "run", tiny_base)
    saved = json.loads((run / "segmenter" / "segmenter.json").read_text())["preprocessing"]
    assert (saved["channels"], saved["bands"]) == (3, [4, 3, 2])
    scores = evaluate(run, data, "test", device="cpu")
    assert {"oa", "miou", "kappa"} <= set(scores.overall_metrics)  # the protocol of scenes
    names = open_dataset(data).splits["test"]
    scenes = [data / "images" / f"{name}.tif" for name in names]
    predicted = predict(run, scenes, tmp_path / "out", overlays=True, device="cpu")
    assert [path.name for path in predicted.written] == [scene.name for scene in scenes]
    again = score(tmp_path / "out", data, out=tmp_path / "scores", split="test")
    np.testing.assert_array_equal(again.counts.tp, scores.counts.tp)
    np.testing.assert_array_equal(again.counts.fn, scores.counts.fn)

    predict(run, scenes, tmp_path / "more", probabilities=True, device="cpu")
    for scene in scenes:
        with rasterio.open(scene) as source, rasterio.open(tmp_path / "out" / scene.name) as result:
            assert (result.crs, result.shape, result.count) == (source.crs, source.shape, 1)
            assert result.transform.almost_equals(source.transform)
            np.testing.assert_array_equal(result.dataset_mask(), source.dataset_mask())
        with rasterio.open(tmp_path / "more" / "probabilities" / scene.name) as probabilities:
            assert probabilities.descriptions == generate.PICTURE_CLASSES
            assert np.isnan(probabilities.read()[:, :EMPTY_ROWS]).all()

    segmenter = load(run)
    with rasterio.open(scenes[0]) as source:
        bands = source.read()
    # Where an image has no data the network sees 0, in an array as in a file; an array does not say which pixels.
    chosen = segmenter.predict(scenes[0]).slices
    assert chosen.shape == (1, 3, *SIZE)
    assert segmenter.predict(np.moveaxis(bands, 0, -1)).slices.shape == (1, 3, *SIZE)

    share(run, tmp_path / "share")
    card = (tmp_path / "share" / "README.md").read_text()
    assert "3 (nir, red, green), in this order; of each file its bands 4, 3, 2 are taken" in card
    assert load(tmp_path / "share").model.preprocessing == segmenter.model.preprocessing
    resume(run)
    bound = baseline(
        data, out=tmp_path / "b", base=tiny_base.name, kind="box", split="test", image_size=32, bootstrap=10
    )
    assert len(bound.cases) == len(names)


@pytest.mark.parametrize("ignore", [{}, {"ignore_index": 255}])
def test_masks_are_scored_where_they_have_data_and_a_word_says_what_is_not(
    tmp_path: Path, ignore: dict[str, int]
) -> None:
    data = scene_folder(tmp_path / "data", **ignore)
    dataset = open_dataset(data)
    for case in dataset.split("test"):
        image = read_case(case, dataset.labels)
        assert image.label is not None
        image.geometry.write_label(tmp_path / "out" / f"{case.name}.tif", np.maximum(image.label, 0), dataset.labels)
    with pytest.warns(DataWarning, match="288 labelled pixels, in 2 masks, have no data there"):
        scores = score(tmp_path / "out", data, split="test")
    assert not scores.counts.fp.any()
    assert scores.counts.tp.sum() == 2 * (SIZE[0] - EMPTY_ROWS) * SIZE[1]
    # A folder of the label files alone, with their classes beside it.
    (tmp_path / "labels").mkdir()
    for case in dataset.split("test"):
        assert case.label is not None
        for part in label_format_of(case.label).parts(case.label):
            shutil.copy(part, tmp_path / "labels")
    shutil.copy(data / "dataset.json", tmp_path)
    with pytest.warns(DataWarning, match="288 labelled pixels"):
        again = score(tmp_path / "out", tmp_path / "labels")
    np.testing.assert_array_equal(again.counts.tp, scores.counts.tp)
    assert again.protocol == scores.protocol == "remote-sensing"


def test_all_bands_go_through_the_projection_where_none_are_chosen(tiny_base: Base, tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data")
    report = check(data)
    assert "4 (blue, green, red, nir): a learned projection brings them to three" in str(report)
    run = fitted(data, tmp_path / "run", tiny_base)
    assert "bands" not in json.loads((run / "segmenter" / "segmenter.json").read_text())["preprocessing"]
    assert predict(run, [data / "images" / "s0.tif"], tmp_path / "out", device="cpu").written


def test_scenes_without_the_bands_are_refused_by_name(tiny_base: Base, tmp_path: Path) -> None:
    data = scene_folder(tmp_path / "data", use_bands=[4, 3, 2])
    run = fitted(data, tmp_path / "run", tiny_base)
    with rasterio.open(data / "images" / "s0.tif") as source:
        few, more = source.read([1, 2, 3]), source.read([1, 2, 3, 4, 1])
        profile = source.profile
    (tmp_path / "in").mkdir()
    for name, bands in (("few", few), ("more", more)):
        with rasterio.open(tmp_path / "in" / f"{name}.tif", "w", **{**profile, "count": len(bands)}) as file:
            file.write(bands)
    report = predict(run, [tmp_path / "in", data / "images" / "s0.tif"], tmp_path / "out", device="cpu")
    assert [failure.file.name for failure in report.failures] == ["few.tif"]
    assert report.failures[0].reason.startswith("expected a band 4, as bands 4, 3, 2 are used, found 3")
    assert (tmp_path / "out" / "more.tif").read_bytes() == (tmp_path / "out" / "s0.tif").read_bytes()
    with rasterio.open(data / "images" / "s1.tif", "w", **{**profile, "count": 3}) as file:
        file.write(few)
    assert any("s1.tif: expected the 4 bands that dataset.json names, found 3" in str(e) for e in check(data).errors)
    with pytest.raises(DataError, match=r"s1\.tif.*band 4"):
        evaluate(run, data, "train", device="cpu")
