"""LiteMedSAM: the published weights in our network, and what it segments when a box is drawn around an organ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case
from samtailor.data.intensity import CTWindow, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import WeightsError
from samtailor.labels import LabelSpace
from samtailor.models.checkpoints import load_strictly, read_state
from samtailor.models.sources import fetch
from samtailor.models.zoo import find_base, load_base

SPLEEN, LIVER, AORTA = 1, 5, 52
TOTALSEGMENTATOR = "totalsegmentator_labels.nii.gz"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    try:
        return read_state(fetch(find_base("lite-medsam").weights))
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.mark.weights
def test_every_published_tensor_has_its_place(published: dict[str, torch.Tensor]) -> None:
    base = find_base("lite-medsam")
    network = base.build()
    load_strictly(network, base.convert(published), "lite-medsam")
    assert sum(p.numel() for p in network.parameters()) == 9_791_556


@pytest.mark.weights
def test_a_missing_tensor_is_named(published: dict[str, torch.Tensor]) -> None:
    published = dict(published)
    del published["image_encoder.neck.0.weight"]
    base = find_base("lite-medsam")
    with pytest.raises(WeightsError, match=r"1 missing \(vision_encoder\.neck\.0\.weight"):
        load_strictly(base.build(), base.convert(published), "lite-medsam")


@pytest.mark.weights
@pytest.mark.shared_data
def test_a_box_around_an_organ_gives_the_organ(abdominal_ct: tuple[Path, Path]) -> None:
    volume, labels = abdominal_ct
    image = scale(read_case(CaseFiles("ct", (volume,)), None).image, CTWindow(40, 400)).swapaxes(0, 1)
    truth = read_case(CaseFiles("truth", (labels,)), None).image[0].astype(int)
    found = {organ: np.mean(box_scores(image, truth == organ)) for organ in (SPLEEN, LIVER, AORTA)}
    assert found[SPLEEN] >= 0.95
    assert found[LIVER] >= 0.95
    assert found[AORTA] >= 0.92


@pytest.mark.weights
@pytest.mark.shared_data
def test_a_box_around_an_organ_of_a_dicom_series_gives_the_organ(shared_data: Path) -> None:
    files = CaseFiles("ct", (shared_data / "ct_dicom" / "series",), shared_data / "ct_dicom" / TOTALSEGMENTATOR)
    case = read_case(files, LabelSpace.from_names(tuple(map(str, range(118)))))
    assert case.label is not None
    image = scale(case.image, CTWindow(40, 400)).swapaxes(0, 1)
    for organ, expected in ((SPLEEN, 0.97), (LIVER, 0.98), (AORTA, 0.94)):
        assert np.mean(box_scores(image, case.label == organ)) == pytest.approx(expected, abs=0.01)


def box_scores(image: NDArray[np.float16], organ: NDArray[np.bool_]) -> list[float]:
    """DSC in each slice of an organ of at least 100 pixels, from the box around it."""
    network = load_base("lite-medsam")
    preprocessing = Preprocessing(CTWindow(), 256, None, 1)
    scores = []
    for plane, truth in zip(image, organ, strict=True):
        if truth.sum() < 100:
            continue
        (window,) = preprocessing.windows(*truth.shape)
        rows, columns = np.where(truth)
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * 256 / window.side
        with torch.inference_mode():
            masks = network(
                pixel_values=preprocessing.input_of(plane, window)[None],
                input_boxes=torch.tensor(box, dtype=torch.float32)[None, None],
                multimask_output=False,
            ).pred_masks[:, 0]
        size = (window.side, window.side)
        mask = torch.nn.functional.interpolate(masks, size, mode="bilinear")[0, 0].numpy() > 0
        mask = mask[: truth.shape[0], : truth.shape[1]]
        scores.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    return scores
