"""A run is evaluated on a split of its data or of another folder with the same classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samtailor.data.cache import SliceCache, prepare_case
from samtailor.data.corruptions import degradation
from samtailor.data.dataset import open_dataset
from samtailor.data.intensity import CTWindow, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.evaluation.cases import cases_of_split, grid_of, predict_cases
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.tuning.cases import predicted
from samtailor.files import cache_home
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel, save_practice, segmenter_told
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from samtailor.refinement.largest_component import LargestComponent
from samtailor.runs import Run
from samtailor.settings import Split
from samtailor.training.settings import TrainConfig
from tests.conftest import Report
from tests.generate import write_json


def make_run(directory: Path, base: Base, data: Path, labels: LabelSpace | None = None) -> Path:
    """An untrained run on a folder; a folder without split is split by seed."""
    dataset = open_dataset(data).with_default_split()
    labels = labels or dataset.labels
    run = Run(directory)
    channels = len(dataset.channels)
    preprocessing = Preprocessing(CTWindow() if channels == 1 else Range(), 32, None, channels)
    SegmenterModel.create(base.name, HeadOnly(), labels, preprocessing).save(run.segmenter_directory)
    run.write_config(TrainConfig(data=str(data), out=str(directory), base=base.name).to_plain())
    splits = {split: list(names) for split, names in dataset.splits.items()}
    run.write_dataset({"root": str(data), "labels": labels.to_json(), "splits": splits, "fingerprint": ""})
    return directory


def test_volumes_are_scored_whole_on_their_own_grid(
    tmp_path: Path, tiny_base: Base, nnunet_folder: Path, reports: list[Report]
) -> None:
    run = make_run(tmp_path / "run", tiny_base, nnunet_folder)
    scores = evaluate(run, nnunet_folder)
    content = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert list(content["cases"]) == ["case_5"]
    assert scores.counts.truth.sum() == 32 * 24 * 6
    assert (run / "evaluation" / "test" / "overlay_best.png").is_file()
    assert reports[0] == ("cases", 0, 1)
    assert reports[-1] == ("cases", 1, 1)
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert len(reports) == 1 + 6 + 1


def test_distances_are_measured_on_the_axes_of_the_label_file(nnunet_folder: Path, image_folder: Path) -> None:
    volume, picture = (grid_of(open_dataset(folder).cases[0]) for folder in (nnunet_folder, image_folder))
    assert volume is not None
    assert picture is not None
    assert (volume.spacing, volume.in_mm) == ((2.0, 2.0, 5.0), True)
    assert volume.take(np.zeros((6, 24, 32))).shape == (32, 24, 6)
    assert (picture.spacing, picture.in_mm) == ((1.0, 1.0), False)


def test_a_folder_without_split_is_split_as_in_the_run(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    scores = evaluate(run, image_folder, "test", out=tmp_path / "out", protocol="flare22", bootstrap=50, seed=3)
    assert [case.name for case in scores.cases] == Run(run).read_dataset()["splits"]["test"]
    assert (scores.protocol, scores.resamples, scores.seed) == ("flare22", 50, 3)
    assert (tmp_path / "out" / "metrics.md").is_file()
    assert not (run / "evaluation").exists()


def test_the_same_evaluation_gives_the_same_numbers(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    first, again = (evaluate(run, image_folder, "test", out=tmp_path / name) for name in ("a", "b"))
    np.testing.assert_array_equal(first.counts.tp, again.counts.tp)
    assert (tmp_path / "a" / "metrics.json").read_bytes() == (tmp_path / "b" / "metrics.json").read_bytes()


def test_scores_say_how_each_window_was_looked_at(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    save_practice(Run(run).segmenter_directory, tta="columns", wide=0.3)
    assert evaluate(run, image_folder).source.items() >= {"tta": "columns", "wide": 0.3}.items()
    assert not evaluate(run, image_folder, tta="none").source.keys() & {"tta", "wide"}


def test_the_folder_s_own_split_comes_before_the_run_s_but_for_cases_it_was_trained_on(
    image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_splits = {"train": [f"tile_{i}" for i in range(7)], "val": ["tile_7", "tile_8"], "test": ["tile_9"]}

    def found(split: Split, **splits: tuple[str, ...]) -> list[str]:
        dataset = replace(open_dataset(image_folder), splits=splits)
        return [files.name for files in cases_of_split(dataset, split, run_splits)]

    assert found("test", test=("tile_8",)) == ["tile_8"]
    assert found("val", test=("tile_8",)) == ["tile_7", "tile_8"]
    assert found("train", train=("tile_4",)) == ["tile_4"]
    assert not caplog.text
    assert found("test", test=("tile_4", "tile_8")) == ["tile_9"]
    assert "split 'test' has cases that the run was trained on (tile_4): the run's own split is taken" in caplog.text


def test_other_data_without_split_is_refused(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    (image_folder / "images" / "tile_0.png").rename(image_folder / "images" / "other.png")
    (image_folder / "masks" / "tile_0.png").rename(image_folder / "masks" / "other.png")
    with pytest.raises(DataError, match="expected a split 'test', found none"):
        evaluate(run, image_folder)


def test_other_classes_are_refused_by_name(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    labels = LabelSpace.from_names(("background", "field", "forest"))
    run = make_run(tmp_path / "run", tiny_base, image_folder, labels)
    with pytest.raises(SamTailorError, match="classes background, field, forest; found background, field, water"):
        evaluate(run, image_folder)


def test_cases_without_label_are_refused_by_name(tmp_path: Path, tiny_base: Base, nnunet_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, nnunet_folder)
    splits = {"train": ["case_0"], "val": ["case_4"]}
    write_json(nnunet_folder / "splits_final.json", [splits])
    (nnunet_folder / "labelsTr" / "case_4.nii.gz").unlink()
    with pytest.raises(DataError, match="found none for case_4"):
        evaluate(run, nnunet_folder, "val")


def test_an_ignored_background_is_for_land_cover_only(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    scores = evaluate(run, image_folder, protocol="remote-sensing", ignore_background=True)
    assert scores.confusion is not None
    assert scores.confusion[0].sum() == 0 < scores.confusion.sum()
    with pytest.raises(ConfigError, match="expected with the protocol remote-sensing, found 'nnunet'"):
        evaluate(run, image_folder, protocol="nnunet", ignore_background=True)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path, nnunet_folder: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run"):
        evaluate(tmp_path, nnunet_folder)


def test_an_unknown_refinement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"refine: expected one of .*largest-component.*; found 'magic'"):
        evaluate(tmp_path, tmp_path, refine="magic")


def test_a_bootstrap_without_resamples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bootstrap: expected a whole number from 1 to 100000; found 0"):
        evaluate(tmp_path, tmp_path, bootstrap=0)


def test_a_corrupted_evaluation_lies_beside_the_clean_one_and_says_what_was_done(
    tmp_path: Path, tiny_base: Base, nnunet_folder: Path
) -> None:
    run = make_run(tmp_path / "run", tiny_base, nnunet_folder)
    clean = evaluate(run, nnunet_folder)
    cached = sorted((cache_home() / "slices").iterdir())
    noisy = evaluate(run, nnunet_folder, corrupt="gaussian", severity=5)
    assert sorted((cache_home() / "slices").iterdir()) == cached  # seventy variants of a case would fill the disk
    again = evaluate(run, nnunet_folder, out=tmp_path / "again", corrupt="gaussian", severity=5)
    other = evaluate(run, nnunet_folder, out=tmp_path / "other", corrupt="gaussian", severity=5, corrupt_seed=1)
    assert (run / "evaluation" / "test" / "metrics.json").is_file()
    content = json.loads((run / "evaluation" / "test-gaussian-5" / "metrics.json").read_text())
    assert content["source"] == {
        **{"data": "nnunet", "split": "test", "run": "run", "segmenter": segmenter_told(Run(run))},
        **{"corruption": "gaussian", "severity": 5, "corrupt_seed": 0},
    }
    assert "Images corrupted before everything else: gaussian, severity 5 of 5, seed 0." in str(noisy)
    assert "Images corrupted" not in str(clean)
    np.testing.assert_array_equal(noisy.counts.prediction, again.counts.prediction)
    assert (noisy.counts.prediction != clean.counts.prediction).any()
    assert (noisy.counts.prediction != other.counts.prediction).any()
    np.testing.assert_array_equal(noisy.counts.truth, clean.counts.truth)
    np.testing.assert_array_equal(evaluate(run, nnunet_folder).counts.prediction, clean.counts.prediction)


@pytest.mark.parametrize("from_cache", [False, True])
def test_refinement_sees_nothing_where_an_image_holds_nothing(
    from_cache: bool, tmp_path: Path, tiny_base: Base, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in prediction: what is found there might be the largest component."""
    files = open_dataset(image_folder).cases[0]
    with Image.open(files.images[0]) as opened:
        pixels = np.dstack([np.asarray(opened), np.full(opened.size[::-1], 255, np.uint8)])
    pixels[:, :30, 3] = 0  # transparent
    Image.fromarray(pixels).save(files.images[0])
    found = np.zeros((1, *pixels.shape[:2]), np.int16)
    found[:, :, :30] = found[:, 5:9, 40:44] = 1
    expected = np.where(np.arange(pixels.shape[1]) < 30, 0, found)
    labels = open_dataset(image_folder).labels
    model = SegmenterModel.create(tiny_base.name, HeadOnly(), labels, Preprocessing(Range(), 32, None, 3))
    if from_cache:
        SliceCache(labels, model.preprocessing).load(files)
    monkeypatch.setattr(Predictor, "_most_probable", lambda *_: found.copy())
    predictor = Predictor(model, device="cpu", refinement=(LargestComponent(),))
    (evaluated,) = predict_cases(predictor, [files], labels)
    np.testing.assert_array_equal(evaluated.prediction, expected)
    (tuned,) = predicted(Predictor(model, device="cpu", refinement=()), [files], labels, tmp_path)
    np.testing.assert_array_equal(tuned.refined(LargestComponent()).case.prediction, expected)


def test_corruption_comes_before_denoising(tmp_path: Path, tiny_base: Base, nnunet_folder: Path) -> None:
    files, labels = open_dataset(nnunet_folder).cases[0], open_dataset(nnunet_folder).labels
    plain = Preprocessing(Range(-200, 200), 32, None, 1)
    how = degradation(("salt-and-pepper",), (5,), 0)
    corrupted, denoised, clean = (
        prepare_case(files, labels, preprocessing, damage).image.astype(float)
        for preprocessing, damage in (
            (plain, how),
            (replace(plain, steps=(GaussianDenoising(),)), how),
            (replace(plain, steps=(GaussianDenoising(),)), None),
        )
    )
    assert (denoised != corrupted).any()
    assert np.abs(np.diff(denoised, axis=-1)).mean() < 0.5 * np.abs(np.diff(corrupted, axis=-1)).mean()
    assert (denoised != clean).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corrupt": "fog", "severity": 1}, "corrupt: expected one of gaussian, .*; found 'fog'"),
        ({"corrupt": "blur", "severity": 6}, "severity: expected a whole number from 1 to 5; found 6"),
        ({"corrupt": "blur", "severity": 0}, "severity: expected a whole number from 1 to 5; found 0"),
        ({"corrupt": "blur"}, "severity: expected both .*, found the corruption alone"),
        ({"severity": 3}, "corrupt: expected both .*, found the severity alone"),
    ],
)
def test_a_wrong_corruption_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(tmp_path, tmp_path, **settings)
