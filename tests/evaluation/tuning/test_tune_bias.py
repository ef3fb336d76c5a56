"""Offsets of the class logits that gain are stored; everything that predicts adds them, unless told otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import samtailor
from samtailor.cli import main
from samtailor.data.dataset import Dataset
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, FileError
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.tuning import bias as search
from samtailor.evaluation.tuning.tune_bias import tune_bias
from samtailor.inference.predictor import Predictor
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel, load_model, save_practice
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training.train import resume, train
from tests.evaluation.test_evaluate import make_run
from tests.training.configs import changed
from tests.training.test_train import config_of

OFFSETS = (0.0, 1e4, -3.0)


@pytest.fixture
def run(tmp_path: Path, tiny_base: Base, image_folder: Path) -> Path:
    """A run whose untrained network has logits of some size."""
    directory = make_run(tmp_path / "run", tiny_base, image_folder)
    model = load_model(directory)
    with torch.no_grad():
        model.network.mask_decoder.hypernetworks.weights[-1] *= 100
        model.network.mask_decoder.hypernetworks.biases[-1] *= 100
    model.save(directory / "segmenter")
    return directory


def content(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "segmenter" / "segmenter.json").read_text())
    return found


@pytest.mark.parametrize("field", [None, 24])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_offsets_are_added_to_the_logits_before_everything_else(
    field: int | None, precision: Any, tiny_base: Base, label_space: Any
) -> None:
    model = SegmenterModel.create(
        tiny_base.name, samtailor.HeadOnly(), label_space, Preprocessing(Range(), 32, field, 3)
    )
    image = np.random.default_rng(0).random((1, 3, 40, 56)).astype(np.float16)
    plain = Predictor(model, 3, "cpu", precision).probabilities(image)
    bias = (0.0, 1.0, -1.0)[: len(label_space)]
    model.practice = Practice(bias=bias)
    offsets = np.exp(np.array(bias))[:, None, None, None]
    for tta in ("none", "both"):
        left_out = Predictor(model, 3, "cpu", precision, tta=tta, bias="none").probabilities(image)  # type: ignore[arg-type]
        predictor = Predictor(model, 3, "cpu", precision, tta=tta)  # type: ignore[arg-type]
        found, label = predictor.probabilities(image), predictor.label(image)
        expected = left_out * offsets / (left_out * offsets).sum(axis=0)
        np.testing.assert_allclose(found, expected, atol=2e-3)
        assert (label == found.argmax(axis=0)).mean() > 0.99
        if tta == "none":
            np.testing.assert_array_equal(left_out, plain)


def test_what_gains_is_stored_and_nothing_else_changes(
    run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, weights = content(run), (run / "segmenter" / "weights.safetensors").read_bytes()
    found = tune_bias(run, image_folder, device="cpu")
    assert found.is_stored  # an untrained network is easy to better
    assert found.choice.mean(found.choice.chosen) > found.choice.mean(found.choice.without)
    assert content(run) == before | {"format": 5, "bias": list(found.choice.bias)}
    assert (run / "segmenter" / "weights.safetensors").read_bytes() == weights
    plain = json.loads((run / "tuning" / "bias.json").read_text())
    assert plain == found.to_json()
    assert plain["stored"] is True
    assert "stored in the segmenter (mean DSC" in (run / "tuning" / "bias.md").read_text()
    assert "that check is left out" in str(found).replace("\n", " ")
    scores = evaluate(run, image_folder, split="val", device="cpu", bootstrap=5, protocol="nnunet")
    with_bias = scores.summary("dsc").without_background.value
    assert with_bias == pytest.approx(found.choice.mean(found.choice.chosen), abs=0.01)
    without = evaluate(run, image_folder, split="val", device="cpu", bootstrap=5, protocol="nnunet", bias="none")
    assert without.summary("dsc").without_background.value == pytest.approx(found.choice.mean(found.choice.without))
    assert without.source["bias"] == "none"
    again = tune_bias(run, image_folder, device="cpu")
    assert not again.is_stored
    assert again.saved == found.choice.bias
    assert content(run)["bias"] == list(found.choice.bias)


@pytest.mark.parametrize("reason", ["none is best", "the best do not hold"])
def test_offsets_that_are_worse_than_none_are_taken_away(
    reason: str, run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segmenter may have been trained on since they were chosen."""
    usual = (0.0, 0.0, 0.0) if reason == "none is best" else (0.0, 0.1, 0.0)
    monkeypatch.setattr(search, "best_bias", lambda *_: usual)
    monkeypatch.setattr(search.BiasChoice, "holds", False)
    save_practice(run / "segmenter", bias=(0.0, -20.0, -20.0))
    found = tune_bias(run, image_folder, device="cpu")
    assert found.is_stored
    assert "the offsets that the segmenter had are taken away (mean DSC 0.0000 -> " in found.verdict().text
    assert load_model(run / "segmenter").practice.bias is None
    plain = json.loads((run / "tuning" / "bias.json").read_text())
    assert (plain["stored"], plain["taken_away"]) == (False, True)


@pytest.mark.parametrize(("protocol", "is_pooled"), [("nnunet", False), ("samtailor", False), ("remote-sensing", True)])
def test_what_is_to_gain_is_what_the_data_sets_protocol_counts(
    protocol: str, is_pooled: bool, run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "protocol", protocol)
    found = tune_bias(run, image_folder, device="cpu")
    assert found.choice.mean == MeanDsc(is_pooled, has_background=is_pooled)
    assert found.to_json()["pooled"] is found.to_json()["background"] is is_pooled
    assert ("mean without background" in found.to_markdown()) is not is_pooled
    assert ("pixels of all cases together" in found.to_markdown()) is is_pooled


@pytest.mark.parametrize("reason", ["nothing gains", "does not hold"])
def test_what_does_not_gain_or_does_not_hold_leaves_the_segmenter_as_it_was(
    reason: str, run: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "nothing gains":
        monkeypatch.setattr(search, "best_bias", lambda *_: (0.0, 0.0, 0.0))
    else:
        monkeypatch.setattr(search.BiasChoice, "holds", False)
    before = (run / "segmenter" / "segmenter.json").read_bytes()
    found = tune_bias(run, image_folder, device="cpu")
    assert not found.is_stored
    assert reason in found.verdict().text
    assert (run / "segmenter" / "segmenter.json").read_bytes() == before


def test_steps_that_change_the_label_are_refused_by_name(
    run: Path, image_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    save_practice(run / "segmenter", refinement=({"kind": "smallest", "size": 10.0},))
    assert main(["tune-bias", str(run), str(image_folder), "--device", "cpu"]) == 2
    assert "smallest" in capsys.readouterr().err
    config = changed(config_of(image_folder, tmp_path / "new", epochs=1), tune_bias=True, refine="largest-component")
    with pytest.raises(ConfigError, match="largest-component"):
        train(**vars(config))
    assert not (tmp_path / "new").exists()


def test_predict_adds_what_is_stored_and_leaves_it_out_on_demand(run: Path, image_folder: Path) -> None:
    picture = next((image_folder / "images").iterdir())
    plain = samtailor.load(run).predict(picture, device="cpu")
    save_practice(run / "segmenter", bias=OFFSETS)
    segmenter = samtailor.load(run)
    found, left_out = segmenter.predict(picture, device="cpu"), segmenter.predict(picture, device="cpu", bias="none")
    assert (found.label == 1).all()
    np.testing.assert_array_equal(left_out.label, plain.label)
    segmenter.model.practice = replace(segmenter.model.practice, bias=None)
    np.testing.assert_array_equal(segmenter.predict(picture, device="cpu").label, plain.label)


def test_offsets_travel_with_the_segmenter(run: Path, tmp_path: Path) -> None:
    save_practice(run / "segmenter", bias=OFFSETS)
    segmenter = samtailor.load(run)
    segmenter.save_pretrained(tmp_path / "shared")
    assert load_model(tmp_path / "shared").practice.bias == OFFSETS
    told = f"- **Offsets of the class logits**, chosen on validation cases: {', '.join(map(str, OFFSETS))}"
    assert told in (tmp_path / "shared" / "README.md").read_text().splitlines()
    segmenter.merge_and_export(tmp_path / "exported")
    assert json.loads((tmp_path / "exported" / "config.json").read_text())["class_bias"] == list(OFFSETS)
    assert (
        "logits += torch.tensor(model.config.class_bias)[:, None, None]"
        in (tmp_path / "exported" / "README.md").read_text()
    )


@pytest.mark.parametrize("bias", [[0.0, 1.0], ["a", 0, 0], 3, [0.0, float("nan"), 0.0]])
def test_offsets_that_do_not_fit_the_classes_are_refused(bias: Any, run: Path) -> None:
    file = run / "segmenter" / "segmenter.json"
    file.write_text(json.dumps(content(run) | {"bias": bias}))
    with pytest.raises(FileError, match="bias: expected"):
        load_model(run)


def test_a_training_that_was_interrupted_while_its_bias_was_tuned_is_resumed(
    tiny_base: Base, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(config_of(image_folder, tmp_path / "whole", epochs=1), tune_bias=True)
    whole = train(**vars(config))
    assert whole.bias_file.is_file()
    choose = search.choose

    def interrupted(*_: Any) -> None:
        monkeypatch.setattr(search, "choose", choose)
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "choose", interrupted)
    with pytest.raises(KeyboardInterrupt, match="continue with samtailor train --resume"):
        train(**vars(changed(config, out=str(tmp_path / "part"))))
    part = Run(tmp_path / "part")
    assert part.is_finished()
    assert not part.bias_file.exists()
    state = part.last_checkpoint.read_bytes()
    resume(part.directory)
    assert part.bias_file.read_text() == whole.bias_file.read_text()
    assert load_model(part.directory).practice.bias == load_model(whole.directory).practice.bias
    assert part.last_checkpoint.read_bytes() == state
    torch.manual_seed(0)
    written = part.bias_file.stat().st_mtime_ns
    resume(part.directory)
    assert part.bias_file.stat().st_mtime_ns == written
