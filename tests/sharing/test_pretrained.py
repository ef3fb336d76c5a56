"""A shared segmenter is complete, says what it is, and tells nothing about the machine it comes from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import LoraConfig

from samtailor.data.intensity import CTWindow, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError, DataWarning, SamTailorError, WeightsError
from samtailor.evaluation.evaluate import evaluate
from samtailor.files import write_json
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel, load_model, save_practice
from samtailor.models.sources import fetch
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, HeadOnly, LoRA, Recipe
from samtailor.runs import Run
from samtailor.sharing.pretrained import push_to_hub, save_pretrained
from tests.hub_server import HubServer

LABELS = LabelSpace(
    ("background", "liver", "left|right"), (0, 7, 9), ((0, 0, 0), (1, 2, 255), (9, 9, 9)), ignore_id=255
)
IMAGES = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)


def new_segmenter(base: Base, recipe: Recipe, weights: Path | None = None) -> SegmenterModel:
    preprocessing = Preprocessing(CTWindow(40, 400), 32, 48, 1)
    segmenter = SegmenterModel.create(base.name, recipe, LABELS, preprocessing, weights).eval()
    with torch.no_grad():
        for value in segmenter.trained_state().values():
            value += 0.01 * torch.randn(value.shape)
    return segmenter


def metadata(card: str) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return content


def assert_same(one: SegmenterModel, other: SegmenterModel) -> None:
    assert (one.labels, one.preprocessing, one.recipe) == (other.labels, other.preprocessing, other.recipe)
    with torch.no_grad():
        assert torch.equal(one(IMAGES), other(IMAGES))


@pytest.mark.parametrize("recipe", [LoRA(rank=2), Adapter(), HeadOnly()], ids=str)
def test_what_is_loaded_is_what_was_shared(recipe: Recipe, tiny_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(tiny_base, recipe)
    save_pretrained(segmenter, tmp_path / "share")
    assert_same(load_model(str(tmp_path / "share")), segmenter)


def test_peft_reads_the_description_of_lora(tiny_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(tiny_base, LoRA(rank=2))
    save_pretrained(segmenter, tmp_path / "share")
    config = LoraConfig.from_pretrained(str(tmp_path / "share"))
    assert (config.r, config.lora_alpha, config.base_model_name_or_path) == (2, 2, "tiny-sam")
    assert config.target_modules == segmenter.network.peft_config["default"].target_modules
    assert segmenter.network.peft_config["default"].base_model_name_or_path is None


def test_only_lora_has_a_description_of_peft(tiny_base: Base, tmp_path: Path) -> None:
    save_pretrained(new_segmenter(tiny_base, HeadOnly()), tmp_path / "share")
    assert {path.name for path in (tmp_path / "share").iterdir()} == {
        "README.md",
        "segmenter.json",
        "weights.safetensors",
    }


def test_the_card_of_an_evaluated_run_tells_everything(run: Path, tmp_path: Path) -> None:
    save_pretrained(load_model(run), tmp_path / "field-finder", run, picture=True)
    card = (tmp_path / "field-finder" / "README.md").read_text()
    head = metadata(card)
    assert head["library_name"] == "samtailor"
    assert head["base_model"] == "tiny-sam"
    assert {"segment-anything", "image-segmentation", "lora"} <= set(head["tags"])  # type: ignore[call-overload]
    dsc = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())["mean_without_background"]["dsc"]
    result = head["model-index"][0]["results"][0]  # type: ignore[index]
    assert result["dataset"] == {"name": "fields", "type": "fields", "split": "test"}
    assert result["metrics"][0]["value"] == pytest.approx(dsc, abs=1e-4)
    assert (run / "evaluation" / "test" / "metrics.md").read_text().strip() in card
    assert "![" in card
    assert (tmp_path / "field-finder" / "overlay.png").read_bytes().startswith(b"\x89PNG")
    for line in (
        "# field-finder",
        'samtailor.load("field-finder")',
        "samtailor predict field-finder case.png --out masks",
        "#00ff00",
        "Data set `fields`: 7 training, 1 validation, 2 test cases.",
        "LoRA(rank=2",
        "0 to 255 become 0 to 1",
        "resized to 32 x 32",
        "For research.",
    ):
        assert line in card


def test_the_card_tells_of_steps_before_and_after_the_network(tiny_base: Base, tmp_path: Path) -> None:
    plain = new_segmenter(tiny_base, HeadOnly())
    save_pretrained(plain, tmp_path / "plain")
    plain.preprocessing = replace(plain.preprocessing, steps=(GaussianDenoising(1.5),), channels=1, neighbours=True)
    plain.practice = Practice(refinement=({"kind": "largest-component"},), tta="columns", wide=0.3)
    save_pretrained(plain, tmp_path / "share")
    card = (tmp_path / "share" / "README.md").read_text()
    lines = (
        "- **First of all**: GaussianDenoising(sigma=1.5)",
        "- **Channels**: 1; the network's three are a slice with those before and behind it",
        "- **Flips**: predictions are averaged over those of the image flipped along its columns",
        "- **Wide views**: what is found in windows of twice the side has a weight of 0.3 in the average",
        "- **Refinement of the label**: largest-component",
    )
    for line in lines:
        assert line in card
        assert line not in (tmp_path / "plain" / "README.md").read_text()
    assert load_model(tmp_path / "share").practice == plain.practice


@pytest.mark.parametrize(
    ("channels", "seen", "kind"), [(1, None, "nii.gz"), (1, 256, "png"), (3, None, "png"), (4, 512, "png")]
)
def test_the_card_predicts_what_the_segmenter_was_trained_on(
    channels: int, seen: int | None, kind: str, tiny_base: Base, tmp_path: Path
) -> None:
    preprocessing = Preprocessing(Range(), 32, None, channels, seen=seen)
    segmenter = SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, preprocessing)
    save_pretrained(segmenter, tmp_path / "share")
    assert f'segmenter.predict("case.{kind}")' in (tmp_path / "share" / "README.md").read_text()


def test_what_is_to_be_private_does_not_go_where_everyone_sees_it(tiny_base: Base, hub: HubServer) -> None:
    hub.repositories["anna/fields"] = {}
    segmenter = new_segmenter(tiny_base, LoRA(rank=2))
    with pytest.raises(ConfigError, match="private: expected a private repository, found anna/fields, which is public"):
        push_to_hub(segmenter, "anna/fields", private=True)
    assert hub.repositories["anna/fields"] == {}
    for _ in range(2):
        push_to_hub(segmenter, "anna/own", private=True)
    assert hub.repositories["anna/own"]


def test_no_file_names_a_path_of_the_user(run: Path, tmp_path: Path) -> None:
    save_pretrained(load_model(run), tmp_path / "share", run)
    for file in (tmp_path / "share").iterdir():
        content = file.read_bytes()
        assert b"private_home_of_the_user" not in content
        assert str(tmp_path).encode() not in content


def test_a_picture_is_shown_only_if_asked_for(run: Path, tmp_path: Path) -> None:
    save_pretrained(load_model(run), tmp_path / "share", run)
    assert not (tmp_path / "share" / "overlay.png").exists()
    assert "overlay" not in (tmp_path / "share" / "README.md").read_text()


def test_an_evaluation_on_the_validation_split_is_second_best(run: Path, tmp_path: Path) -> None:
    (run / "evaluation" / "test").rename(run / "evaluation" / "val")
    save_pretrained(load_model(run), tmp_path / "share", run)
    assert "On the validation split:" in (tmp_path / "share" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "data",
            "other fields",
            "those of other data, other fields: the card leaves them out; evaluate again on fields",
        ),
        ("segmenter", "0123456789ab", "those of another segmenter, or an older version"),
        ("wide", 0.3, "those of wide 0.3"),
    ],
)
def test_scores_of_other_data_or_an_earlier_segmenter_are_left_out(
    name: str, value: str, words: str, run: Path, tmp_path: Path
) -> None:
    metrics = run / "evaluation" / "test" / "metrics.json"
    content = json.loads(metrics.read_text())
    assert name in content["source"] or name == "wide"
    content["source"][name] = value
    write_json(metrics, content)
    with pytest.warns(DataWarning, match=words):
        save_pretrained(load_model(run), tmp_path / "share", run, picture=True)
    card = (tmp_path / "share" / "README.md").read_text()
    assert "not evaluated on a test split" in card
    assert not (tmp_path / "share" / "overlay.png").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tta": "both"}, "those of tta both"),
        ({"windows": "training"}, "those of windows training"),
        ({"refine": "largest-component"}, "those of refine largest-component"),
    ],
)
def test_scores_by_other_settings_than_its_own_are_left_out(
    settings: dict[str, Any], words: str, run: Path, tmp_path: Path
) -> None:
    data = Run(run).read_config()["data"]
    evaluate(run, data, "test", device="cpu", **settings)
    with pytest.warns(DataWarning, match=words):
        save_pretrained(load_model(run), tmp_path / "share", run)
    assert "not evaluated on a test split" in (tmp_path / "share" / "README.md").read_text()


def test_its_own_settings_may_be_spelt_out(run: Path, tmp_path: Path) -> None:
    data = Run(run).read_config()["data"]
    evaluate(run, data, "test", device="cpu", refine="none", windows="auto", bias="saved", tta="none")
    save_pretrained(load_model(run), tmp_path / "share", run)
    assert "On the test split:" in (tmp_path / "share" / "README.md").read_text()


def test_scores_from_before_something_was_tuned_are_left_out(run: Path, tmp_path: Path) -> None:
    save_practice(run / "segmenter", bias=(0.0, 1.0, 0.0))
    with pytest.warns(DataWarning, match="those of another segmenter, or an older version"):
        save_pretrained(load_model(run), tmp_path / "share", run)
    data = Run(run).read_config()["data"]
    evaluate(run, data, "test", device="cpu", bias="none")
    with pytest.warns(DataWarning, match="those of bias none"):
        save_pretrained(load_model(run), tmp_path / "again", run)
    evaluate(run, data, "test", device="cpu")
    save_pretrained(load_model(run), tmp_path / "last", run)
    assert "On the test split:" in (tmp_path / "last" / "README.md").read_text()


def test_without_an_evaluation_the_validation_stands_in_and_says_so(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "evaluation")
    save_pretrained(load_model(run), tmp_path / "share", run)
    card = (tmp_path / "share" / "README.md").read_text()
    assert "not evaluated on a test split" in card
    assert "| water " in card
    assert "in epoch 1" in card


def test_without_a_run_nothing_is_invented(tiny_base: Base, tmp_path: Path) -> None:
    save_pretrained(new_segmenter(tiny_base, LoRA()), tmp_path / "share")
    card = (tmp_path / "share" / "README.md").read_text()
    assert "Not evaluated." in card
    assert "Not recorded." in card
    assert "model-index" not in metadata(card)
    assert "window of level 40 and width 400: -160 to 240 become 0 to 1" in card
    assert "left\\|right" in card
    assert "#0102ff" in card
    assert "Pixels of id 255 counted nowhere." in card


def test_the_scores_of_another_segmenter_are_refused(run: Path, tiny_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run: expected the run that fitted this segmenter"):
        save_pretrained(new_segmenter(tiny_base, LoRA(rank=2)), tmp_path / "share", run)
    assert not (tmp_path / "share").exists()


def test_a_folder_that_is_no_run_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run"):
        save_pretrained(new_segmenter(tiny_base, LoRA()), tmp_path / "share", tmp_path)


def test_a_merged_segmenter_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found a merged one.*merge_and_export"):
        save_pretrained(new_segmenter(tiny_base, LoRA()).merge(), tmp_path / "share")
    assert not (tmp_path / "share").exists()


def test_weights_of_the_user_are_named_but_not_their_path(tiny_base: Base, tmp_path: Path) -> None:
    weights = tmp_path / "private_home_of_the_user" / "own.pth"
    weights.parent.mkdir()
    other = new_segmenter(tiny_base, HeadOnly())
    state = torch.load(fetch(tiny_base.weights), weights_only=True)
    state["prompt_encoder.no_mask_embed.weight"] += 1
    torch.save(state, weights)
    segmenter = new_segmenter(tiny_base, LoRA(rank=2), weights)
    save_pretrained(segmenter, tmp_path / "share")
    assert json.loads((tmp_path / "share" / "segmenter.json").read_text())["base"]["file"] == "own.pth"
    card = (tmp_path / "share" / "README.md").read_text()
    assert segmenter.base.sha256 in card
    assert other.base.sha256 not in card
    assert 'weights="FILE"' in card
    assert metadata(card)["license"] == "unknown"
    with pytest.raises(WeightsError, match=r"own\.pth"):
        load_model(tmp_path / "share")
    assert_same(load_model(tmp_path / "share", weights), segmenter)


def test_a_copy_of_the_published_weights_is_as_good(tiny_base: Base, tmp_path: Path) -> None:
    copy = Path(shutil.copy(fetch(tiny_base.weights), tmp_path / "copy.pth"))
    segmenter = new_segmenter(tiny_base, LoRA(rank=2), copy)
    save_pretrained(segmenter, tmp_path / "share")
    copy.unlink()
    assert_same(load_model(tmp_path / "share"), segmenter)


@pytest.mark.parametrize(
    ("named", "shared"),
    [("/home/me/own.pth", "own.pth"), ("weights/own.pth", "own.pth"), ("/srv/sam", "sam"), ("anna/sam", "anna/sam")],
)
def test_only_names_of_the_hub_keep_their_folder(named: str, shared: str, tiny_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(tiny_base, HeadOnly())
    segmenter.base = replace(segmenter.base, sha256="0" * 64, file=named)
    save_pretrained(segmenter, tmp_path / "share")
    assert json.loads((tmp_path / "share" / "segmenter.json").read_text())["base"]["file"] == shared
    card = (tmp_path / "share" / "README.md").read_text()
    assert f"`{shared}`" in card
    assert ('weights="FILE"' in card) == (shared != "anna/sam")


def test_a_run_and_its_segmenter_are_found(run: Path) -> None:
    assert_same(load_model(run), load_model(run / "segmenter"))


def test_a_folder_without_a_segmenter_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SamTailorError, match=r"segmenter\.json"):
        load_model(tmp_path)


def test_what_is_pushed_can_be_loaded_by_name(run: Path, hub: HubServer) -> None:
    segmenter = load_model(run)
    address = push_to_hub(segmenter, "anna/fields", run, private=True, picture=True)
    assert address == f"{hub.url}/anna/fields"
    assert hub.repositories["anna/fields"].keys() == {
        "README.md",
        "adapter_config.json",
        "overlay.png",
        "segmenter.json",
        "weights.safetensors",
    }
    assert hub.private == {"anna/fields"}
    assert hub.messages == ["Share a segmenter"]
    assert 'samtailor.load("anna/fields")' in hub.repositories["anna/fields"]["README.md"].decode()
    assert_same(load_model("anna/fields"), segmenter)


def test_pushing_again_replaces_what_was_pushed(run: Path, hub: HubServer) -> None:
    hub.repositories["anna/fields"] = {"notes.txt": b"hers"}
    push_to_hub(load_model(run), "anna/fields", run, picture=True)
    push_to_hub(load_model(run), "anna/fields", run)
    files = hub.repositories["anna/fields"]
    assert "overlay.png" not in files
    assert files["notes.txt"] == b"hers"
