"""Every step works behind the network, on pictures and volumes as prediction hands them over."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.data.in_memory import case_of_array
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.models.zoo import Base
from samtailor.refinement import STEPS, chosen_refinement
from tests.inference.test_predictor import predictor_of


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("spacing", [None, (10.0, 1.0, 1.0)], ids=["picture", "volume"])
def test_every_step_works_on_what_prediction_hands_over(
    name: str, spacing: tuple[float, float, float] | None, tiny_base: Base, request: pytest.FixtureRequest
) -> None:
    if name == "crf":
        request.getfixturevalue("crf")
    model = predictor_of(tiny_base, 24).model
    predictor = Predictor(model, device="cpu", refinement=chosen_refinement(name))
    values = np.random.default_rng(0).integers(0, 255, (4, 40, 25)).astype(np.uint8)
    case = case_of_array(values if spacing else values[0], spacing)
    result = segment(predictor, case)  # its slices are computed where they are looked at
    assert result.label.shape == result.slices.shape[:1] + result.slices.shape[2:]
    assert 0 <= result.label.min() <= result.label.max() < len(model.labels)
    on_slices = predictor.label(np.asarray(result.slices), case.geometry.spacing)
    np.testing.assert_array_equal(on_slices, result.label)
