"""The segmenter on disk: small, complete, and clear about what does not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samtailor import kinds
from samtailor.data.intensity import ByChannel, CTWindow, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import SamTailorError, WeightsError
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.refinement import STEPS
from samtailor.refinement.largest_component import LargestComponent
from tests.recipes.test_recipes import described, segmenter_of, train_a_little
from tests.tiny_base import build

LABELS = LabelSpace(("background", "liver"), (0, 7), ((0, 0, 0), (1, 2, 3)), ignore_id=255)
PREPROCESSING = Preprocessing(CTWindow(40, 400), 32, 48, 1)
RECIPES: list[Recipe] = [
    LoRA(rank=2),
    LoRA(rank=2, dora=True),
    LoRA(rank=2, layers="all", norms=True),
    LoRA(rank=2, layers="linear", dora=True),
    Adapter(depth=True),
    HeadOnly(),
    Full(),
]


@pytest.fixture
def saved(tiny_base: Base, tmp_path: Path) -> Path:
    SegmenterModel.create(tiny_base.name, LoRA(rank=2), LABELS, PREPROCESSING).save(tmp_path / "segmenter")
    return tmp_path / "segmenter"


def test_everything_that_prediction_needs_comes_back(saved: Path) -> None:
    segmenter = SegmenterModel.load(saved)
    assert segmenter.labels == LABELS
    assert segmenter.preprocessing == PREPROCESSING
    assert segmenter.recipe == LoRA(rank=2)
    assert not segmenter.training
    assert not list(saved.glob(".*"))


def test_the_description_names_base_checksum_and_libraries(saved: Path) -> None:
    content = json.loads((saved / "segmenter.json").read_text())
    assert content["base"]["base"] == "tiny-sam"
    assert len(content["base"]["sha256"]) == 64
    assert {"samtailor", "torch", "transformers", "peft"} <= content["libraries"].keys()


def test_only_what_was_trained_is_stored(saved: Path) -> None:
    segmenter = SegmenterModel.load(saved)
    trained = sum(p.numel() for p in segmenter.parameters() if p.requires_grad)
    assert (saved / "weights.safetensors").stat().st_size < 4 * trained + 50_000


def test_a_truncated_file_is_a_clear_error(saved: Path) -> None:
    file = saved / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"weights\.safetensors: expected the trained parameters"):
        SegmenterModel.load(saved)


def test_a_missing_file_is_a_clear_error(saved: Path) -> None:
    (saved / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"weights\.safetensors: expected the trained parameters"):
        SegmenterModel.load(saved)


def test_parameters_of_another_recipe_are_refused_by_name(saved: Path, tiny_base: Base, tmp_path: Path) -> None:
    SegmenterModel.create(tiny_base.name, LoRA(rank=3), LABELS, PREPROCESSING).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "weights.safetensors", saved / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"missing, unexpected or of another shape.*lora_A"):
        SegmenterModel.load(saved)


def test_an_unknown_version_is_refused(saved: Path) -> None:
    content = json.loads((saved / "segmenter.json").read_text())
    (saved / "segmenter.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(WeightsError, match="expected format 1 to 5, found 99"):
        SegmenterModel.load(saved)


def test_other_base_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.manual_seed(5)
    torch.save(build("tiny-vit").state_dict(), other)
    with pytest.raises(WeightsError, match="expected the weights of tiny-sam with sha256"):
        SegmenterModel.load(saved, weights=other)


def test_a_missing_base_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected a weights file .*found nothing"):
        SegmenterModel.load(saved, weights=tmp_path / "none.pth")


def test_a_base_the_zoo_does_not_have_is_refused(saved: Path) -> None:
    content = json.loads((saved / "segmenter.json").read_text())
    content["base"]["base"] = "sam-vit-z"
    (saved / "segmenter.json").write_text(json.dumps(content))
    with pytest.raises(SamTailorError, match="base: expected one of"):
        SegmenterModel.load(saved)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_a_copy_for_inference_gives_the_same_masks(recipe: Recipe, any_base: Base, images: Tensor) -> None:
    segmenter = segmenter_of(any_base, recipe).train()
    train_a_little(segmenter, images)
    ready = segmenter.for_inference()
    with torch.inference_mode():
        expected = segmenter.eval()(images)
        torch.testing.assert_close(ready(images), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_a_copy_for_inference_leaves_the_segmenter_as_it_is(recipe: Recipe, any_base: Base, images: Tensor) -> None:
    segmenter = segmenter_of(any_base, recipe).train()
    train_a_little(segmenter, images)
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    trained = list(segmenter.trained_state())
    segmenter.for_inference()
    assert segmenter.training
    assert list(segmenter.trained_state()) == trained
    after = segmenter.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    segmenter(images).square().mean().backward()


def test_only_what_is_merged_takes_memory_in_a_copy_for_inference(any_base: Base) -> None:
    segmenter = segmenter_of(any_base, LoRA(rank=2))
    ready = segmenter.for_inference()
    shared = {p.data_ptr() for p in segmenter.parameters()}
    own = [name for name, p in ready.named_parameters() if p.data_ptr() not in shared]
    assert own
    assert all(".q_proj." in name or ".v_proj." in name for name in own if "norm" not in name and "conv" not in name)


def test_steps_before_and_after_the_network_come_back(tiny_base: Base, tmp_path: Path) -> None:
    preprocessing = replace(PREPROCESSING, steps=(GaussianDenoising(0.7),))
    practice = Practice(refinement=(kinds.to_json(LargestComponent(), STEPS),))
    model = SegmenterModel.create(tiny_base.name, LoRA(rank=2), LABELS, preprocessing, practice=practice)
    model.save(tmp_path)
    loaded = SegmenterModel.load(tmp_path)
    assert loaded.preprocessing == preprocessing
    assert Predictor(loaded.for_inference(), device="cpu").refinement == (LargestComponent(),)


def test_without_steps_the_description_is_as_it_was_before_there_were_any(saved: Path) -> None:
    content = json.loads((saved / "segmenter.json").read_text())
    assert "refinement" not in content
    assert "steps" not in content["preprocessing"]
    assert Predictor(SegmenterModel.load(saved), device="cpu").refinement == ()


@pytest.mark.parametrize("where", ["preprocessing", "refinement"])
def test_a_step_of_a_newer_version_is_refused(saved: Path, where: str) -> None:
    content = json.loads((saved / "segmenter.json").read_text())
    step = {"kind": "magic", "strength": 3}
    if where == "refinement":
        content["refinement"] = [step]
    else:
        content["preprocessing"]["steps"] = [step]
    (saved / "segmenter.json").write_text(json.dumps(content))
    with pytest.raises(SamTailorError, match=f"{where}: expected one of .*; found 'magic'"):
        Predictor(SegmenterModel.load(saved), device="cpu")


@pytest.mark.parametrize(
    ("preprocessing", "version"),
    [
        (Preprocessing(CTWindow(), 32, None, 1), 1),
        (Preprocessing(Percentile(), 32, None, 3), 1),
        (Preprocessing(ByChannel((Percentile(),) * 3), 32, None, 3), 2),
        (Preprocessing(Range(), 32, None, 4), 2),
        (Preprocessing(Range(), 32, None, 3, bands=(4, 3, 2)), 3),
        (Preprocessing(Range(), 32, None, 1, seen=224), 3),
    ],
)
def test_only_what_older_libraries_cannot_read_is_written_as_a_newer_version(
    preprocessing: Preprocessing, version: int, tiny_base: Base, tmp_path: Path
) -> None:
    SegmenterModel.create(tiny_base.name, LoRA(rank=2), LABELS, preprocessing).save(tmp_path)
    assert json.loads((tmp_path / "segmenter.json").read_text())["format"] == version
    assert SegmenterModel.load(tmp_path).preprocessing == preprocessing


@pytest.mark.parametrize(
    ("recipe", "version", "newer"),
    [
        (LoRA(rank=2), 1, set()),
        (LoRA(rank=2, layers="linear"), 4, {"layers"}),
        (LoRA(rank=2, norms=True), 4, {"norms"}),
        (Adapter(), 1, set()),
    ],
)
def test_only_a_recipe_that_older_libraries_do_not_know_is_written_as_a_newer_version(
    recipe: Recipe, version: int, newer: set[str], tiny_base: Base, tmp_path: Path
) -> None:
    SegmenterModel.create(tiny_base.name, recipe, LABELS, PREPROCESSING).save(tmp_path)
    content = json.loads((tmp_path / "segmenter.json").read_text())
    assert content["format"] == version
    assert content["recipe"].keys() & {"layers", "norms"} == newer
    assert SegmenterModel.load(tmp_path).recipe == recipe


def test_the_projection_of_another_number_of_channels_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    SegmenterModel.create(tiny_base.name, LoRA(rank=2), LABELS, Preprocessing(Range(), 32, None, 4)).save(tmp_path)
    content = (tmp_path / "segmenter.json").read_text()
    for channels in (3, 5):
        (tmp_path / "segmenter.json").write_text(content.replace('"channels": 4', f'"channels": {channels}'))
        with pytest.raises(WeightsError, match=r"unexpected or of another shape \(to_colours"):
            SegmenterModel.load(tmp_path)
