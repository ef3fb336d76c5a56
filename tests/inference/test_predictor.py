"""Prediction on the slices' own grid: windows cover everything, stitching changes nothing it need not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from samtailor.data.intensity import Range
from samtailor.data.labels import LabelSpace
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.predictor import Predictor
from samtailor.models.segmenter import Segmenter
from samtailor.models.zoo import Base
from samtailor.recipes.config import HeadOnly
from samtailor.training.embeddings import windows_of
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def predictor_of(base: Base, field: int | None = None, batch_size: int = 3) -> Predictor:
    segmenter = Segmenter.create(base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, field, 1))
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


def test_a_slice_of_the_networks_size_is_the_network_s_own_output(tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base)
    image = np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float16)
    with torch.inference_mode():
        logits = predictor.segmenter(torch.from_numpy(image.astype(np.float32)).expand(1, 3, 32, 32))
    np.testing.assert_array_equal(predictor.label(image)[0], logits.argmax(1)[0].numpy())


@pytest.mark.parametrize("field", [None, 24])
def test_known_embeddings_give_the_same_label(field: int | None, tiny_base: Base) -> None:
    predictor = predictor_of(tiny_base, field)
    case = cached_case(LABELS)
    pieces = windows_of(case, predictor.segmenter)
    embeddings = np.concatenate(list(predictor.embeddings(case.image, pieces)))
    same = predictor.label(case.image, embeddings=embeddings) == predictor.label(case.image)
    assert same.mean() > 0.99  # half precision may turn a tie


def test_progress_counts_slices(tiny_base: Base, image: np.ndarray) -> None:
    told: list[int] = []
    predictor_of(tiny_base).label(image, told.append)
    assert told == [1, 2, 3, 4, 5]
