"""Tables and figures hold the right numbers, and those of one comparison only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy.results import Fit, Results, numbers_of
from samtailor.errors import FileError
from samtailor.evaluation.measure import measure
from samtailor.evaluation.scores import Scores
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import ProtocolName

ABOUT: dict[str, Any] = {
    "machine": {"processor": "Example CPU", "cores": 2, "gpu": None, "torch": "2.13", "transformers": "5.24"},
    "threads": 1,
    "samtailor": "0.1",
    "monai": "1.6",
    "data": "tiles",
    "split": {"train": 7, "val": 1, "scored": "test", "cases": 2},
}
TITLES = {"samtailor": "ours", "dynunet": "a U-Net"}


def fit_of(method: str, minutes: float, seed: int, dsc: float) -> Fit:
    return Fit(method, minutes, seed, 60 * minutes - 3, {"mean DSC": dsc, "Fa, 1e-6": 100 * dsc}, {"steps": 3})


def scores_of(names: tuple[str, ...], protocol: ProtocolName, *cases: tuple[list[int], list[int]]) -> Scores:
    """Scores of rows of pixels, truth and prediction."""
    labels = LabelSpace.from_names(names)
    arrays = [[np.array(row, np.int16).reshape(1, 1, -1) for row in case] for case in cases]
    measured = [measure(str(i), truth, found, labels, protocol) for i, (truth, found) in enumerate(arrays)]
    return Scores(labels, protocol, tuple(measured), resamples=2)


def test_land_cover_counts_classes_where_they_are_and_pools_all_pixels() -> None:
    # Class 1 is in the first case only; that the second predicts it costs its class 0, not a zero for class 1.
    scores = scores_of(("0", "1"), "remote-sensing", ([0, 0, 1, 1], [0, 0, 1, 0]), ([0, 0, 0, 0], [0, 0, 0, 1]))
    found = numbers_of(scores)
    assert list(found) == ["mean DSC, 2 classes", "pooled mIoU"]
    assert found["mean DSC, 2 classes"] == pytest.approx(((4 / 5 + 6 / 7) / 2 + 2 / 3) / 2)
    assert found["pooled mIoU"] == pytest.approx((5 / 7 + 1 / 3) / 2)


def test_small_targets_have_iou_found_targets_and_false_alarms() -> None:
    truth, found = [0] * 20, [0] * 20
    truth[2] = found[2] = found[3] = found[15] = 1
    numbers = numbers_of(scores_of(("background", "target"), "irstd", (truth, found)))
    assert list(numbers) == ["target DSC", "IoU", "Pd", "Fa, 1e-6"]
    assert numbers == pytest.approx({"target DSC": 2 / 4, "IoU": 1 / 3, "Pd": 1.0, "Fa, 1e-6": 1e6 / 20})


def test_organs_are_scored_without_background_and_as_samed_does() -> None:
    organs = ("Aorta", "gallbladder", "left kidney", "kidney_right", "liver", "pancreas", "spleen", "stomach")
    names = ("background", "esophagus", *organs)
    truth = list(range(10))
    found = numbers_of(scores_of(names, "nnunet", (truth, [0, 0, *truth[2:]])))
    assert found == pytest.approx({"mean DSC, 9 classes": 8 / 9, "mean DSC, SAMed's 8": 1.0})
    assert list(numbers_of(scores_of(names[:3], "nnunet", ([0, 1, 2], [0, 1, 2])))) == ["mean DSC, 2 classes"]


def test_the_table_has_means_and_ends_of_seeds_and_is_read_again(tmp_path: Path) -> None:
    results = Results(tmp_path, ABOUT, TITLES)
    for fit in (fit_of("dynunet", 30, 0, 0.5), fit_of("samtailor", 30, 1, 0.75), fit_of("samtailor", 30, 0, 0.65)):
        results.add(fit)
    results.add(fit_of("samtailor", 15, 0, 0.6))
    lines = (tmp_path / "results.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table[:1] + table[2:] == [
        ["minutes", "method", "seeds", "mean DSC", "Fa, 1e-6", "taken, min"],
        ["15", "samtailor", "0", "0.600", "60", "14.9"],
        ["30", "samtailor", "0 1", "0.700 (0.650 to 0.750)", "70 (65 to 75)", "29.9 (29.9 to 29.9)"],
        ["30", "dynunet", "0", "0.500", "50", "29.9"],
    ]
    assert Results(tmp_path, ABOUT, TITLES).fits == results.fits
    assert results.has("samtailor", 30, 1)
    assert not results.has("samtailor", 30, 2)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["machine"] == ABOUT["machine"]
    assert len(content["fits"]) == 4


def test_curves_have_a_line_for_each_method_and_a_point_for_each_seed(tmp_path: Path) -> None:
    results = Results(tmp_path, ABOUT, TITLES)
    results.fits = [
        fit_of("samtailor", 15, 0, 0.6),
        fit_of("samtailor", 30, 0, 0.65),
        fit_of("samtailor", 30, 1, 0.75),
        fit_of("dynunet", 30, 0, 0.5),
    ]
    (axes,) = results.curves().axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["samtailor"], [[15, 0.6], [30, 0.7]])
    np.testing.assert_allclose(lines["dynunet"], [[30, 0.5]])
    points = [np.asarray(c.get_offsets()).tolist() for c in axes.collections if len(c.get_offsets()) > 1]
    assert points == [[[15, 0.6], [30, 0.65], [30, 0.75]]]
    assert axes.get_ylabel() == "mean DSC"


@pytest.mark.parametrize("change", [{"data": "others"}, {"threads": 2}, {"monai": "1.5"}])
def test_results_of_another_comparison_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    Results(tmp_path, ABOUT, TITLES).add(fit_of("samtailor", 15, 0, 0.6))
    (name,) = change
    with pytest.raises(FileError, match=f"expected results of this comparison, {name} .*name another --out"):
        Results(tmp_path, {**ABOUT, **change}, TITLES)
