"""Numbers over cases and seeds, and next to the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.reproduction.definition import UPPER_BOUND, Column, load_experiment
from samtailor.reproduction.page import choose
from samtailor.reproduction.results import ColumnResult, Number, present_dsc, published_average
from samtailor.reproduction.tables import PublishedVsOurs

SIRST = ("background", "target")
BTCV_LIKE = ("background", "liver", "portal and splenic veins")


def voxels(truth: int, predicted: int, overlap: int) -> dict[str, int]:
    return {"truth_voxels": truth, "predicted_voxels": predicted, "overlap_voxels": overlap}


METRICS: dict[str, Any] = {
    "classes": ["background", "target", "other"],
    "cases": {
        "a": {"background": voxels(90, 90, 90), "target": voxels(10, 10, 5), "other": voxels(0, 7, 0)},
        "b": {"background": voxels(80, 100, 80), "target": voxels(20, 0, 0), "other": voxels(0, 0, 0)},
    },
}


def result(name: str, dsc: list[list[float]], names: tuple[str, ...] = SIRST) -> ColumnResult:
    values: NDArray[np.float64] = np.array(dsc)
    column = Column(name)
    return ColumnResult(
        column, "lite-medsam", (), values, names, "2 cases", {} if column.is_zero_shot else {"sam": values}
    )


def test_a_class_is_averaged_over_the_cases_that_have_it() -> None:
    background, target, other = present_dsc(METRICS)
    assert background == pytest.approx((1 + 160 / 180) / 2)
    assert target == pytest.approx(0.25)  # missed in b
    assert np.isnan(other)  # predicted in a, but in no truth


def test_seeds_give_mean_and_deviation() -> None:
    assert str(Number.from_values(np.array([0.5, 0.7]))) == "0.6000 ± 0.1414"
    assert str(Number.from_values(np.array([0.5]))) == "0.5000"
    assert str(Number.from_values(np.array([np.nan]))) == "-"
    assert f"{Number(0.25).minus(0.5):+.4f}" == "-0.2500"
    assert f"{Number(0.75, 0.1).minus(0.5):+.4f}" == "+0.2500 ± 0.1000"


def test_the_report_s_means_are_with_and_without_background() -> None:
    published = load_experiment("table6").published["lora-4"]
    assert published_average(published) == 0.9437
    assert published_average(published, background=False) == 0.8874
    assert np.isnan(published_average({}))


def test_both_columns_stand_next_to_each_other_with_their_difference() -> None:
    versus = PublishedVsOurs(
        load_experiment("table6"), (result("sam", [[0.8, 0.5]]), result("lora-4", [[1, 0.9], [1, 0.7]]))
    )
    scores, differences = versus.scores().to_markdown(), versus.differences().to_markdown()
    assert f"SAM, {UPPER_BOUND}: ours" in scores
    assert [cell.strip() for cell in scores.splitlines()[3].split("|")[1:-1]] == [
        "target",
        "0.5203",
        "0.5000",
        "0.8874",
        "0.8000 ± 0.1414",
    ]
    assert "mean with background" in scores
    assert "mean without background" in scores
    assert "-0.0203" in differences
    assert "-0.0874 ± 0.1414" in differences


def test_the_margin_stands_next_to_the_report_s() -> None:
    fitted = replace(result("lora-4", [[0, 0]]), on_slices_of={"sam": np.array([[1, 0.9]])})
    versus = PublishedVsOurs(
        load_experiment("table6"), (result("sam", [[0.8, 0.5]]), fitted, result("adapter", [[1, 1]]))
    )
    (section,) = versus.margins()
    sentences, table = section.content
    assert UPPER_BOUND in section.heading
    assert isinstance(sentences, str)
    assert "SAM LoRA (r=4) minus SAM (lite-medsam) (upper bound, uses the ground truth)" in sentences
    assert "+0.3000; in the report +0.3028" in sentences
    assert "SAM Adapter minus" in sentences
    assert "not in the report" in sentences
    assert "+0.3028" in str(table)


def test_classes_of_other_data_are_matched_by_name() -> None:
    versus = PublishedVsOurs(load_experiment("table2"), (result("lora-4", [[1, 0.5, 0.2]], BTCV_LIKE),))
    assert versus.shared == ["background", "liver"]
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:4] for line in versus.scores().to_markdown().splitlines()[:20]
    }
    assert [cell.strip() for cell in rows["duodenum"]] == ["0.7519", "-"]
    assert [cell.strip() for cell in rows["portal and splenic veins"]] == ["-", "0.2000"]
    assert [cell.strip() for cell in rows["mean of the 2 shared classes, with background"]] == ["0.8576", "0.7500"]


def test_cases_are_chosen_by_the_rule() -> None:
    metrics = {
        "classes": ["background", "x", "y"],
        "cases": {
            name: {"background": voxels(1, 1, 1), "x": voxels(10, 10, overlap), "y": voxels(y, 0, 0)}
            for name, overlap, y in (("a", 2, 0), ("b", 9, 0), ("c", 6, 0), ("d", 1, 5), ("e", 0, 5))
        },
    }
    chosen = choose(metrics, ["a", "b", "c", "d", "e"], "LoRA")
    assert list(chosen) == ["a", "b", "d"]
    assert chosen["b"] == "Best case of LoRA by mean DSC (0.9000)"
    assert chosen["d"] == "First case with most classes (2)"
