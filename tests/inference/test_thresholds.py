"""A class is given only where its probability reaches its threshold; else the next most probable one that may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import samtailor
from samtailor.data.formats import read_image
from samtailor.errors import ConfigError
from samtailor.inference.enlarge import winner
from samtailor.inference.predict import predict
from samtailor.inference.thresholds import Threshold
from samtailor.models.zoo import Base
from tests.generate import LABELS
from tests.inference.test_predict import assert_most_probable, make_segmenter, write_inputs


@pytest.mark.parametrize(
    ("thresholds", "probabilities", "expected"),
    [
        ({"liver": 0.6}, [0.3, 0.5, 0.2], "background"),
        ({"liver": 0.6}, [0.1, 0.5, 0.4], "spleen"),  # the next most probable, not the background
        ({"liver": 0.5}, [0.3, 0.5, 0.2], "liver"),  # it reaches it
        ({"liver": 0.6, "spleen": 0.6}, [0.1, 0.5, 0.4], "background"),
        ({"background": 0.6}, [0.5, 0.2, 0.3], "spleen"),
        ({"background": 0.6, "liver": 0.6, "spleen": 0.6}, [0.3, 0.5, 0.2], "background"),  # none: the first class
        ({"liver": 0.0}, [0.3, 0.5, 0.2], "liver"),
    ],
)
def test_the_label_is_the_most_probable_class_that_may_be(
    thresholds: dict[str, float], probabilities: list[float], expected: str
) -> None:
    seen = torch.tensor(probabilities)[:, None, None]
    assert LABELS.names[winner(Threshold(thresholds, LABELS).candidates(seen)).item()] == expected


def test_probabilities_are_left_as_they_are_and_labels_follow_them(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = samtailor.load(make_segmenter(tmp_path / "segmenter", tiny_base, 1))
    case = read_image(write_inputs(tmp_path / "in") / "case_0_0000.nii.gz")
    plain = segmenter.predict(case, probabilities=True, device="cpu")
    assert plain.probabilities is not None
    name = LABELS.names[int(np.bincount(plain.label.ravel()).argmax())]
    of_class = plain.probabilities[LABELS.names.index(name)]
    median = np.median(of_class[plain.label == LABELS.names.index(name)])
    threshold = (float(median) + float(np.nextafter(median, np.float16(1)))) / 2  # rounding leads no probability across
    result = segmenter.predict(case, probabilities=True, device="cpu", threshold={name: threshold})
    np.testing.assert_array_equal(result.probabilities, plain.probabilities)
    masked = plain.probabilities.astype(np.float32)
    masked[LABELS.names.index(name)][of_class.astype(np.float32) < threshold] = -1
    assert_most_probable(result.label, masked)
    assert 0 < (result.label != plain.label).sum() < result.label.size
    again = segmenter.predict(case, device="cpu", threshold={name: threshold})  # also where they are not kept
    np.testing.assert_array_equal(again.label, result.label)


def test_the_certainty_is_that_of_the_class_that_is_given(tmp_path: Path, tiny_base: Base) -> None:
    from samtailor.inference.predictor import Predictor
    from samtailor.models.segmenter_model import load_model

    model = load_model(make_segmenter(tmp_path / "segmenter", tiny_base, 1)).for_inference()
    slices = model.preprocessing.prepare(read_image(write_inputs(tmp_path / "in") / "case_0_0000.nii.gz"))
    predictor = Predictor(model, device="cpu", threshold=dict.fromkeys(LABELS.names[1:], 0.9))
    for band in predictor.bands(slices, probabilities=True, certainty=True):
        assert not band.label.any()
        assert band.probabilities is not None
        np.testing.assert_array_equal(band.certainty, band.probabilities[0])


def test_predict_takes_them_and_refuses_what_is_no_class(tmp_path: Path, tiny_base: Base) -> None:
    run = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")
    everything: Any = dict.fromkeys(LABELS.names[1:], 1.0)
    volumes = predict(run, [folder], tmp_path / "out", threshold=everything, volumes=tmp_path / "v.csv").volumes
    assert all(one.classes["liver"].count == 0 for one in volumes)
    with pytest.raises(ConfigError, match=r"threshold: expected one of background, .*'livr' \(did you mean liver"):
        predict(run, [folder], tmp_path / "out2", threshold={"livr": 0.5})
    with pytest.raises(ConfigError, match="threshold: expected by name a number from 0 to 1; found"):
        predict(run, [folder], tmp_path / "out2", threshold={"liver": 1.5})
    assert not (tmp_path / "out2").exists()
