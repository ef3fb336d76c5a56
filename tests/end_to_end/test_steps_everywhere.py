"""A step before the network and a step after it reach everything that predicts: there is one case loop.

The step before brightens a corner of the image, the step after paints what is brightest: the corner is painted where
both were at work. They are registered, as a new step is, and chosen in training only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import samtailor.data.steps
import samtailor.refinement
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import format_of, read_case, read_image
from samtailor.data.formats.picture import PictureFormat
from samtailor.data.intensity import Slices, scale
from samtailor.data.steps.step import PreprocessingStep
from samtailor.evaluation.cases import predict_cases
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.score import score
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.metrics import overlap
from samtailor.models.segmenter_model import load_model
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly, LoRA, Recipe
from samtailor.refinement.step import RefinementStep
from samtailor.reproduction.reproduce import reproduce
from samtailor.runs import Run
from samtailor.segmenter import load
from samtailor.training.settings import SamplingConfig
from samtailor.training.train import train
from tests import generate
from tests.reproduction import miniatures

CORNER = (..., slice(0, 5), slice(0, 7))


@dataclass(frozen=True)
class BrightenCorner(PreprocessingStep):
    value: int = 255

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[Any]:
        brightened = image.copy()
        brightened[CORNER] = self.value
        return brightened


@dataclass(frozen=True)
class PaintBrightest(RefinementStep):
    class_id: int = 1

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        assert (spacing is None) == (len(label) == 1)  # of volumes it is known, everywhere
        painted = label.copy()
        painted[np.asarray(slices[:, 0]) == 1] = self.class_id
        return painted


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(samtailor.data.steps.STEPS, "brighten-corner", BrightenCorner)
        patch.setitem(samtailor.refinement.STEPS, "paint-brightest", PaintBrightest)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate.nnunet_folder(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module", params=[LoRA(rank=2), HeadOnly()], ids=["lora", "head-only"])
def run(request: pytest.FixtureRequest, tiny_base: Base, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One epoch; the embeddings of head-only are computed once."""
    recipe: Recipe = request.param
    return train(
        data=data,
        out=tmp_path_factory.mktemp("runs") / "run",
        base=tiny_base.name,
        recipe=recipe,
        epochs=1,
        device="cpu",
        sampling=SamplingConfig(image_size=32),
        denoise="brighten-corner",
        refine="paint-brightest",
        seed=1,  # embeddings that are kept in half precision decide no voxel otherwise
    )


def unpainted(run: Run, image: NDArray[Any]) -> NDArray[np.int16]:
    """What the network alone makes of an image (C, S, H, W) with its corner brightened."""
    model = load_model(run.directory)
    brightened = BrightenCorner()(image, None)
    slices = scale(brightened, model.preprocessing.intensity).swapaxes(0, 1)
    return Predictor(model.for_inference(), device="cpu", refinement=()).label(slices)


def painted(run: Run, image: NDArray[Any]) -> NDArray[np.int16]:
    """What both steps make of it: the corner, and whatever else is as bright, is of class 1."""
    brightest = scale(BrightenCorner()(image, None)[0], load_model(run.directory).preprocessing.intensity) == 1
    assert brightest[CORNER].all()
    return np.where(brightest, np.int16(1), unpainted(run, image))


def case_of(data: Path, name: str) -> tuple[NDArray[Any], NDArray[np.int16]]:
    """Image, (C, S, H, W), and label of a case."""
    dataset = open_dataset(data)
    case = read_case(next(case for case in dataset.cases if case.name == name), dataset.labels)
    assert case.label is not None
    return case.image, case.label


def test_the_mark_can_be_told_from_what_is_there_without_it(run: Run, data: Path) -> None:
    image, _ = case_of(data, "case_5")
    assert (unpainted(run, image)[CORNER] != 1).any()
    assert (scale(image, load_model(run.directory).preprocessing.intensity)[CORNER] < 1).all()


def test_predict_writes_it(run: Run, data: Path, tmp_path: Path) -> None:
    image, _ = case_of(data, "case_5")
    for refine, expected in ((None, painted), ("none", unpainted)):
        (path,) = predict(
            run.directory, [data / "imagesTs"], tmp_path / str(refine), device="cpu", refine=refine
        ).written
        np.testing.assert_array_equal(format_of(path).read_ids(path, generate.LABELS)[0], expected(run, image))


def test_evaluate_scores_and_shows_it(run: Run, data: Path, tmp_path: Path) -> None:
    image, label = case_of(data, "case_5")
    for refine, expected in ((None, painted), ("none", unpainted)):
        scores = evaluate(run.directory, data, out=tmp_path / str(refine), device="cpu", bootstrap=5, refine=refine)
        assert same_counts(scores.cases[0].overlap, counted(label, expected(run, image)))
    dataset = open_dataset(data)
    (case,) = predict_cases(Predictor(load_model(run.directory), device="cpu"), dataset.split("test"), dataset.labels)
    np.testing.assert_array_equal(case.prediction, painted(run, image))
    assert (case.image[CORNER] == 1).all()


def test_score_finds_it_in_the_masks(run: Run, data: Path, tmp_path: Path) -> None:
    image, label = case_of(data, "case_5")
    predict(run.directory, [data / "imagesTs"], tmp_path / "masks", device="cpu")
    scores = score(tmp_path / "masks", data, split="test", bootstrap=5)
    assert same_counts(scores.cases[0].overlap, counted(label, painted(run, image)))


def test_validation_in_training_scores_it(run: Run, data: Path) -> None:
    image, label = case_of(data, "case_4")
    counts, without = (counted(label, of(run, image)) for of in (painted, unpainted))
    (row,) = run.history()
    assert [row["dsc/liver"], row["dsc/spleen"]] == pytest.approx(overlap.score(counts, "dsc", "nnunet")[1:], abs=1e-6)
    assert not same_counts(counts, without)


def test_the_segmenter_shows_it(run: Run, data: Path) -> None:
    file = data / "imagesTs" / "case_5_0000.nii.gz"
    case = read_image(file)
    segmenter = load(run.directory)
    for image, spacing in ((file, None), (case, None), (case.image[0], (5.0, 2.0, 2.0))):
        for refine, expected in ((None, painted), ("none", unpainted)):
            label = segmenter.predict(image, device="cpu", refine=refine, spacing=spacing).label
            np.testing.assert_array_equal(label, expected(run, case.image))


def counted(truth: np.ndarray, prediction: np.ndarray) -> overlap.Overlap:
    """Voxels of each class of two label maps."""
    return overlap.Overlap.from_confusion(overlap.confusion(truth, prediction, 3))


def same_counts(one: overlap.Overlap, other: overlap.Overlap) -> bool:
    """Whether two label maps have the same voxels of each class right and wrong."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_reproduce_predicts_and_scores_it(tiny_base: Base, tmp_path: Path) -> None:
    schedule = miniatures.schedule(tmp_path / "settings.yaml")
    content = yaml.safe_load(schedule.read_text())
    content["train"] |= {"denoise": "brighten-corner", "refine": "paint-brightest"}
    schedule.write_text(yaml.safe_dump(content))
    data = miniatures.gid5(tmp_path / "gid5")
    out = tmp_path / "out"
    reproduce(
        what="table5", data=data, base=tiny_base.name, columns=["lora-4"], out=out, settings=schedule, device="cpu"
    )
    run = Run(out / "lora-4" / "seed-0")
    dataset = open_dataset(data)
    metrics = json.loads((run.evaluation("test") / "metrics.json").read_text())
    for file in dataset.split("test"):
        case = read_case(file, dataset.labels)
        expected = painted(run, case.image)
        ids = PictureFormat().read_ids(run.evaluation("test") / "predictions" / f"{file.name}.png", dataset.labels)[0]
        np.testing.assert_array_equal(dataset.labels.to_indices(ids), expected)
        counted = [scores["predicted_voxels"] for scores in metrics["cases"][file.name].values()]
        assert counted == np.bincount(expected.ravel(), minlength=len(dataset.labels)).tolist()
