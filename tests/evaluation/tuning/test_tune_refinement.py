"""Steps that gain on validation cases are stored in the segmenter, and predict and evaluate apply them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samtailor.evaluation.tuning.cases as cases
from samtailor.cli import main
from samtailor.errors import ConfigError
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.tuning.tune_refinement import tune_refinement
from samtailor.models.segmenter_model import load_model, save_practice
from samtailor.models.zoo import Base
from samtailor.refinement.fill_holes import FillHoles
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.level_set import LevelSet
from samtailor.refinement.smallest import Smallest
from samtailor.refinement.step import RefinementStep
from tests.evaluation.test_evaluate import make_run

SMALL = {"kind": "smallest", "size": 100.0}


@pytest.fixture
def run(tmp_path: Path, tiny_base: Base, image_folder: Path) -> Path:
    return make_run(tmp_path / "run", tiny_base, image_folder)


def content(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "segmenter" / "segmenter.json").read_text())
    return found


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network finds what there is, with a speck in each corner: the smallest size gains, the rest does not."""

    def label(self: object, image: Any, spacing: object, probabilities: Any) -> Any:
        found = truths.pop(0).copy()
        found[..., :2, :2] = found[..., -2:, -2:] = 1
        probabilities[:] = 0
        np.put_along_axis(probabilities, found[None].astype(np.int64), np.float16(1), axis=0)
        return found

    truths: list[Any] = []
    original = cases.SliceCache.load

    def load(self: Any, files: Any) -> Any:
        case = original(self, files)
        truths.append(np.maximum(np.asarray(case.label), 0))
        return case

    monkeypatch.setattr(cases.SliceCache, "load", load)
    monkeypatch.setattr("samtailor.inference.predictor.Predictor.label", label)


def tuned(run: Path, data: Path, candidates: Sequence[str] = ("fill-holes", "smallest"), **settings: Any) -> Any:
    return tune_refinement(run, data, candidates, device="cpu", **settings)


def test_what_gains_is_stored_and_nothing_else_changes(run: Path, image_folder: Path, hidden: None) -> None:
    before, weights = content(run), (run / "segmenter" / "weights.safetensors").read_bytes()
    found = tuned(run, image_folder)
    assert found.is_stored
    assert found.best.steps == (Smallest(10.0),)
    assert found.best.score == 1 > found.before.score
    assert content(run) == before | {"refinement": [{"kind": "smallest", "size": 10.0}]}
    assert (run / "segmenter" / "weights.safetensors").read_bytes() == weights
    table = (run / "tuning" / "refinement.md").read_text()
    assert "stored in the segmenter: smallest (" in str(found).replace("\n", " ")
    assert "smallest (size 3.0)" in table
    assert "stored in the segmenter: smallest" in table
    plain = json.loads((run / "tuning" / "refinement.json").read_text())
    assert plain == found.to_json()
    assert plain["stored"] is True
    assert plain["best"]["steps"] == [{"kind": "smallest", "size": 10.0}]
    assert len(plain["trials"]) == 1 + 1 + 7
    assert len(plain["cases"]) == 1


def test_evaluate_applies_what_was_stored_unless_told_otherwise(run: Path, image_folder: Path, tmp_path: Path) -> None:
    save_practice(run / "segmenter", refinement=({"kind": "smallest", "size": 1e6},))
    settings: dict[str, Any] = {"split": "test", "device": "cpu", "bootstrap": 5}
    tuned, explicit, plain = (
        evaluate(run, image_folder, out=tmp_path / str(place), refine=refine, **settings)
        for place, refine in enumerate((None, [Smallest(1e6)], "none"))
    )
    np.testing.assert_array_equal(tuned.counts.prediction, explicit.counts.prediction)
    assert (tuned.counts.prediction != plain.counts.prediction).any()


def test_what_does_not_gain_leaves_the_segmenter_as_it_was(run: Path, image_folder: Path, hidden: None) -> None:
    before = (run / "segmenter" / "segmenter.json").read_bytes()
    found = tuned(run, image_folder, ["fill-holes"])
    assert not found.is_stored
    assert found.best.steps == ()
    assert (run / "segmenter" / "segmenter.json").read_bytes() == before
    assert "nothing gains over none: the segmenter stays as it was" in (run / "tuning" / "refinement.md").read_text()


def test_it_must_gain_over_what_is_stored_already(run: Path, image_folder: Path, hidden: None) -> None:
    save_practice(run / "segmenter", refinement=(SMALL,))
    before = (run / "segmenter" / "segmenter.json").read_bytes()
    found = tuned(run, image_folder, ["smallest"])
    assert not found.is_stored
    assert found.before.steps == (Smallest(100.0),)
    assert found.before.score == found.best.score == 1
    assert (run / "segmenter" / "segmenter.json").read_bytes() == before
    assert "saved: smallest (size 100.0)" in (run / "tuning" / "refinement.md").read_text()


def test_steps_that_harm_are_taken_out(run: Path, image_folder: Path, hidden: None) -> None:
    save_practice(run / "segmenter", refinement=({"kind": "smallest", "size": 1e6},))
    found = tuned(run, image_folder, ["fill-holes"])
    assert found.is_stored
    assert "refinement" not in content(run)
    assert load_model(run).practice.refinement == ()


@pytest.mark.parametrize("step", [LargestComponent, Smallest])
def test_an_interrupted_search_leaves_the_segmenter_as_it_was(
    step: type[RefinementStep], run: Path, image_folder: Path, hidden: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "segmenter" / "segmenter.json").read_bytes()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tuned(run, image_folder, ["fill-holes", "smallest", "largest-component"])
    assert (run / "segmenter" / "segmenter.json").read_bytes() == before
    assert not (run / "tuning").exists()


@pytest.mark.usefixtures("crf")
def test_volumes_are_tuned_by_all_steps_with_the_real_network(
    tmp_path: Path, tiny_base: Base, nnunet_folder: Path
) -> None:
    run = make_run(tmp_path / "run", tiny_base, nnunet_folder)
    found = tuned(
        run, nnunet_folder, ["outline", "crf", "level-set", "fill-holes", "smallest", "largest-component"],
        metric="nsd", trials=2,
    )  # fmt: skip
    assert len(found.trials) == 2 + 2 + 2 + 2 + 1 + 2 + 1
    again = tuned(run, nnunet_folder, ["smallest"], trials=1)
    assert again.before.steps == (found.best.steps if found.is_stored else ())


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"candidates": ["magic"]}, "candidates: expected some of .*; found 'magic'"),
        ({"metric": "nsd"}, "metric: expected dsc, iou or boundary_iou for pictures, found nsd"),
        ({"trials": 0}, "trials: expected a whole number from 1"),
        ({"metric": "hd95"}, "metric: expected one of dsc"),
    ],
)
def test_bad_settings_are_refused_before_any_work(
    settings: dict[str, Any], found: str, run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samtailor.models.segmenter_model.load_model", None)
    with pytest.raises(ConfigError, match=found):
        tune_refinement(run, image_folder, **({"candidates": ["smallest"]} | settings))


def test_a_candidate_whose_package_is_missing_is_refused_before_any_work(
    run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    assert main(["tune-refinement", str(run), str(image_folder), "--candidates", "smallest", "crf"]) == 2
    assert "pip install 'samtailor[crf]'" in capsys.readouterr().err


def test_where_no_candidate_is_named_all_that_is_installed_is_tried(
    run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with caplog.at_level("INFO"):
        found = tune_refinement(run, image_folder, trials=4, device="cpu")
    tried = [trial.steps[-1] for trial in found.trials if trial.steps]
    assert {type(step) for step in tried} == {LevelSet, FillHoles, Smallest, LargestComponent}
    assert not any(step.method == "itk-geodesic" for step in tried if isinstance(step, LevelSet))
    for extra in ("crf", "level-set"):
        assert f"pip install 'samtailor[{extra}]'" in caplog.text


def test_volumes_have_no_boundary_iou(tmp_path: Path, tiny_base: Base, nnunet_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, nnunet_folder)
    with pytest.raises(ConfigError, match="expected dsc, iou or nsd for volumes, found boundary_iou"):
        tuned(run, nnunet_folder, metric="boundary_iou")
