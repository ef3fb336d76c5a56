"""Scores tell themselves: on the screen, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.evaluation.examples import scores


def test_json_holds_protocol_cases_means_and_intervals() -> None:
    content = json.loads(json.dumps(scores(resamples=200, seed=5).to_json(), allow_nan=False))
    assert (content["protocol"], content["upper_bound"], content["overall"]) == ("nnunet", None, {})
    assert content["rules"]["empty_rule"] == "nnunet"
    assert "left out of the means" in content["rules"]["description"]
    assert content["rules"]["resamples"] == 200
    assert content["rules"]["seed"] == 5
    assert content["classes"] == ["background", "liver", "spleen"]
    assert content["cases"]["first"]["liver"] == {
        "dsc": pytest.approx(0.8),
        "iou": pytest.approx(2 / 3),
        "truth_voxels": 10,
        "predicted_voxels": 10,
        "overlap_voxels": 8,
    }
    assert content["cases"]["second"]["spleen"]["dsc"] is None
    assert content["mean"]["liver"]["dsc"] == pytest.approx(0.6)
    assert content["mean_without_background"]["dsc"] == pytest.approx(0.8)
    assert content["mean_with_background"]["dsc"] == pytest.approx(2.6 / 3)
    assert content["pooled"]["liver"]["dsc"] == pytest.approx(2 / 3)
    assert content["pooled_without_background"]["iou"] == pytest.approx(0.75)
    assert content["interval"]["mean"]["liver"]["dsc"] == pytest.approx([0.4, 0.8])
    assert content["interval"]["mean"]["spleen"]["dsc"] is None
    assert set(content["interval"]) == {
        f"{averaging}{means}"
        for averaging in ("mean", "pooled")
        for means in ("", "_with_background", "_without_background")
    } | {"overall"}


def test_they_are_printed_as_tables_and_shown_in_a_line() -> None:
    found = scores("remote-sensing", upper_bound="a bound", resamples=10)
    assert "┃ class" in str(found)
    assert "spleen" in str(found)
    assert "A bound." in str(found)
    assert repr(found) == "<Scores of 2 cases and 3 classes by protocol 'remote-sensing'>"


def test_csv_has_a_row_for_each_case_and_class() -> None:
    rows = list(csv.DictReader(io.StringIO(scores().to_csv())))
    assert len(rows) == 6
    assert rows[1] == {
        "case": "first",
        "class": "liver",
        "dsc": "0.800000",
        "iou": "0.666667",
        "truth_voxels": "10",
        "predicted_voxels": "10",
        "overlap_voxels": "8",
        "protocol": "nnunet",
    }
    assert rows[5]["dsc"] == ""
