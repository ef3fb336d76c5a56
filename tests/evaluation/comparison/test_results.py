"""Results are found, named, and refused where their numbers cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.comparison.results import align, read_results
from tests.evaluation.comparison.files import write

VALUES = {"one": (0.8, 0.6), "two": (0.7, None), "three": (0.5, 0.4)}


def refused(*folders: Path, common: bool = False, metric: str = "dsc") -> str:
    """What the refusal says."""
    with pytest.raises(DataError) as error:
        align(read_results(folders, metric, "test"), common)
    return str(error.value)


def test_a_file_a_folder_and_a_run_are_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", VALUES)
    write(tmp_path / "run" / "evaluation" / "val", VALUES)
    results = read_results([folder / "metrics.json", folder, tmp_path / "run"], "dsc", "val")
    assert [result.name for result in results] == ["folder", "folder (2)", "run"]
    with pytest.raises(DataError, match=r"scores of split 'test'; found those of val: take --split val"):
        read_results([folder, tmp_path / "run"], "dsc", "test")
    with pytest.raises(DataError, match="found nothing there"):
        read_results([folder, tmp_path / "nowhere"], "dsc", "test")
    with pytest.raises(DataError, match="samtailor evaluate"):
        read_results([folder, tmp_path], "dsc", "test")


def test_names_are_the_shortest_that_differ(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, VALUES) for name in ("lora/seed-0", "adapter/seed-0", "lora/seed-1")]
    assert [r.name for r in read_results(folders, "dsc", "test")] == ["lora/seed-0", "adapter/seed-0", "seed-1"]


def test_runs_are_named_by_their_folders_whatever_is_given(tmp_path: Path) -> None:
    folders = [write(tmp_path / name / "evaluation" / "test", VALUES) for name in ("a", "b")]
    assert [result.name for result in read_results(folders, "dsc", "test")] == ["a", "b"]
    both = [write(tmp_path / "a" / "evaluation" / split, VALUES) for split in ("val", "test")]
    assert [result.name for result in read_results(both, "dsc", "test")] == ["val", "test"]


def test_names_can_be_given(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, VALUES) for name in "ab"]
    assert [result.name for result in read_results(folders, "dsc", "test", ["A", "B"])] == ["A", "B"]
    for names in (["A"], ["A", "A"]):
        with pytest.raises(ConfigError, match="a different name for each of the 2 results"):
            read_results(folders, "dsc", "test", names)


def test_one_result_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least two to compare, found 1"):
        read_results([write(tmp_path, VALUES)], "dsc", "test")


def test_the_background_is_not_compared(tmp_path: Path) -> None:
    result = read_results([write(tmp_path, VALUES)] * 2, "dsc", "test")[0]
    assert result.classes == ("liver", "spleen")
    assert result.case_means() == pytest.approx([0.7, 0.7, 0.45])


def test_other_protocols_are_refused(tmp_path: Path) -> None:
    text = refused(write(tmp_path / "a", VALUES), write(tmp_path / "b", VALUES, protocol="flare22"))
    assert "'samtailor' in" in text
    assert "'flare22' in" in text


def test_the_background_counts_in_all_or_in_none(tmp_path: Path) -> None:
    """The truth of the other classes is the same, so that nothing else tells them apart."""
    with_background, without = write(tmp_path / "a", VALUES), write(tmp_path / "b", VALUES)
    content = json.loads((without / "metrics.json").read_text())
    content.setdefault("rules", {})["background"] = "its pixels count nowhere"
    (without / "metrics.json").write_text(json.dumps(content))
    for folders in ((with_background, without), (without, with_background)):
        text = refused(*folders)
        assert f"left out in {without / 'metrics.json'}, not in {with_background / 'metrics.json'}" in text
    assert len(align(read_results((without, without), "dsc", "test"), common=False)) == 2


@pytest.mark.parametrize("protocol", [None, {"empty_rule": "nnunet"}])
def test_old_files_without_protocol_are_refused(tmp_path: Path, protocol: Any) -> None:
    old = write(tmp_path / "b", VALUES, protocol=protocol)
    assert "an older version wrote this file; score again" in refused(write(tmp_path / "a", VALUES), old)


@pytest.mark.parametrize("text", ["{", "[]", '{"protocol": "samtailor", "classes": ["a"], "cases": {}}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    assert "samtailor evaluate writes" in refused(write(tmp_path / "a", VALUES), tmp_path / "other.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    wrong = write(tmp_path / "b", {**VALUES, "one": (value, 0.5)})
    text = refused(write(tmp_path / "a", VALUES), wrong)
    assert f"expected the scores that samtailor evaluate writes, found {value} as a score" in text
    assert str(wrong / "metrics.json") in text


def test_other_cases_are_named(tmp_path: Path) -> None:
    more, less = write(tmp_path / "a", VALUES), write(tmp_path / "b", {"three": (0.1, 0.2), "one": (0.3, 0.4)})
    text = refused(more, less)
    assert f"two only in {more / 'metrics.json'}" in text
    assert "--common" in text
    aligned = align(read_results([more, less], "dsc", "test"), common=True)
    assert [result.cases for result in aligned] == [("one", "three")] * 2
    assert aligned[1].values.tolist() == [[0.3, 0.4], [0.1, 0.2]]


def test_other_classes_are_named(tmp_path: Path) -> None:
    one = write(tmp_path / "a", {"one": (0.8, 0.6)})
    other = write(tmp_path / "b", {"one": (0.7, 0.9)}, classes=("aorta", "liver"))
    text = refused(one, other)
    assert "spleen only in" in text
    assert "aorta only in" in text
    aligned = align(read_results([one, other], "dsc", "test"), common=True)
    assert [result.values.tolist() for result in aligned] == [[[0.8]], [[0.9]]]


def test_the_order_of_cases_and_classes_does_not_matter(tmp_path: Path) -> None:
    one = write(tmp_path / "a", {"one": (0.8, 0.6), "two": (0.1, 0.2)})
    other = write(tmp_path / "b", {"two": (0.2, 0.1), "one": (0.6, 0.8)}, classes=("spleen", "liver"))
    first, second = align(read_results([one, other], "dsc", "test"), common=False)
    assert first.values.tolist() == second.values.tolist()


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    folders = write(tmp_path / "a", {"one": (0.8, 0.6)}), write(tmp_path / "b", {"two": (0.8, 0.6)})
    assert "found none that is in all of" in refused(*folders, common=True)


def test_another_truth_is_refused(tmp_path: Path) -> None:
    folders = write(tmp_path / "a", VALUES), write(tmp_path / "b", VALUES)
    content = json.loads((folders[1] / "metrics.json").read_text())
    content["cases"]["two"]["liver"]["truth_voxels"] = 99
    (folders[1] / "metrics.json").write_text(json.dumps(content))
    assert "found 100 and 99 voxels of liver" in refused(*folders)


def test_a_metric_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, VALUES) for name in "ab"]
    assert "expected the metric 'nsd' of each case and class, found dsc, iou" in refused(*folders, metric="nsd")
