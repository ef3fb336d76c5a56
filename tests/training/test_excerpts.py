"""What an estimate measures with: parts of cases that are as much work as a training's batches, and show something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samtailor.data.case import CaseFiles
from samtailor.labels import LabelSpace
from samtailor.settings import IntensityConfig
from samtailor.training.estimation import _CASES, _SLICES, _excerpt, _spread
from samtailor.training.settings import SamplingConfig, TrainConfig
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def config(batch_size: int, field: int | None) -> TrainConfig:
    sampling = SamplingConfig(image_size=32, field=field)
    return TrainConfig(
        "data", "out", batch_size=batch_size, sampling=sampling, intensity=IntensityConfig("range", (0, 1))
    )


def test_whole_slices_from_a_place_on() -> None:
    case = cached_case(LABELS, slices=20)
    part = _excerpt(case, 4, config(2, None), whole=True)
    np.testing.assert_array_equal(part.image, case.image[4 : 4 + _SLICES])
    np.testing.assert_array_equal(part.label, case.label[4 : 4 + _SLICES])
    np.testing.assert_array_equal(part.counts, case.counts[4 : 4 + _SLICES])


@pytest.mark.parametrize(
    ("batch_size", "field", "side", "slices"),
    [
        (2, None, 40, 2),  # a whole slice is a window: as many slices as images in a batch
        (4, 16, 32, 1),  # windows of two rows and two columns, overlapping: nine
        (16, 16, 40, 2),  # larger than the slice: all of it, sixteen windows or fewer
    ],
)
def test_as_many_windows_as_a_batch_has_images(batch_size: int, field: int | None, side: int, slices: int) -> None:
    case = cached_case(LABELS, slices=6)
    part = _excerpt(case, 2, config(batch_size, field), whole=False)
    assert part.image.shape[2:] == part.label.shape[1:] == (side, side)
    assert len(part.image) == len(part.label) == slices
    for k in range(len(LABELS)):
        np.testing.assert_array_equal(part.counts[:, k], (part.label == k).sum(axis=(1, 2)))


def test_an_excerpt_shows_a_labelled_pixel_and_stays_in_the_case() -> None:
    case = cached_case(LABELS, slices=6, side=60)
    part = _excerpt(case, 4, config(1, 16), whole=False)
    assert part.image.shape == (1, 1, 16, 16)
    assert part.label[0, 0, 0] == 2
    np.testing.assert_array_equal(part.image[0, 0], case.image[4, 0, 10:26, 20:36])
    last = _excerpt(case, 5, config(3, None), whole=False)
    np.testing.assert_array_equal(last.image, case.image[3:6])


def test_cases_are_looked_at_from_everywhere_first() -> None:
    files = [CaseFiles(f"case_{i}", (Path(f"{i}.png"),)) for i in range(100)]
    order = [int(file.name.removeprefix("case_")) for file in _spread(files)]
    assert sorted(order) == list(range(100))
    first = order[:_CASES]
    assert (first[0], first[-1]) == (0, 99)
    assert np.diff(first).min() >= 99 // (_CASES - 1)
    few = files[:3]
    assert _spread(few) == few
