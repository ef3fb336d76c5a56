"""An exported network gives the segmenter's class logits in transformers' own class, without samtailor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, Sam2Model, SamModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel, load_model
from samtailor.models.tiny_sam import TinySam
from samtailor.models.zoo import Base, Family
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.sharing.export import merge_and_export

LABELS = LabelSpace.from_names(("background", "field", "water", "road", "roof"))
KINDS: dict[Family, type[PreTrainedModel]] = {"sam": SamModel, "sam2": Sam2Model, "tiny-vit": TinySam}


def new_segmenter(base: Base, recipe: Recipe, image_size: int, channels: int = 3) -> SegmenterModel:
    torch.manual_seed(1)
    preprocessing = Preprocessing(Range(), image_size, None, channels)
    segmenter = SegmenterModel.create(base.name, recipe, LABELS, preprocessing).eval()
    with torch.no_grad():
        for value in segmenter.trained_state().values():
            value += 0.05 * torch.randn(value.shape)
    return segmenter


def assert_gives_the_logits(segmenter: SegmenterModel, model: PreTrainedModel) -> None:
    size = segmenter.preprocessing.image_size
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected: Tensor = segmenter(images)
        found = model((images - segmenter.mean) / segmenter.std, multimask_output=True).pred_masks[:, 0]
    assert expected.std() > 1e-3
    assert found.shape == (2, len(LABELS), *expected.shape[2:])
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("image_size", [64, 96, 128])
def test_the_network_gives_the_class_logits_at_the_segmenters_size(
    image_size: int, any_base: Base, tmp_path: Path
) -> None:
    segmenter = new_segmenter(any_base, LoRA(rank=2), image_size)
    merge_and_export(segmenter, tmp_path / "export")
    model, report = KINDS[any_base.family].from_pretrained(tmp_path / "export", output_loading_info=True)
    assert not any(report.values())
    assert_gives_the_logits(segmenter, model)


@pytest.mark.parametrize(
    "recipe",
    [
        LoRA(dora=True),
        LoRA(rank=2, rslora=True, last_blocks=1),
        LoRA(rank=2, layers="all", norms=True),
        LoRA(rank=2, layers="all", dora=True),
        HeadOnly(),
        Full(),
    ],
    ids=str,
)
def test_every_recipe_that_can_be_merged_is_exported(recipe: Recipe, any_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(any_base, recipe, 64)
    merge_and_export(segmenter, tmp_path / "export")
    assert_gives_the_logits(segmenter, KINDS[any_base.family].from_pretrained(tmp_path / "export"))


def test_the_segmenter_stays_as_it_is(any_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(any_base, LoRA(rank=2), 64)
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    merge_and_export(segmenter, tmp_path / "export")
    assert segmenter.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in segmenter.state_dict().items())


def test_a_merged_segmenter_can_be_exported(any_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(any_base, LoRA(rank=2), 64).merge()
    merge_and_export(segmenter, tmp_path / "export")
    assert_gives_the_logits(segmenter, KINDS[any_base.family].from_pretrained(tmp_path / "export"))


def test_adapters_are_refused(any_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found Adapter\(.*cannot be merged.*save_pretrained"):
        merge_and_export(new_segmenter(any_base, Adapter(), 64), tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_the_files_name_classes_size_and_normalisation(any_base: Base, tmp_path: Path) -> None:
    merge_and_export(new_segmenter(any_base, LoRA(), 96), tmp_path / "export")
    assert {path.name for path in (tmp_path / "export").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["id2label"] == {str(index): name for index, name in enumerate(LABELS.names)}
    assert config["label2id"]["roof"] == 4
    processor = json.loads((tmp_path / "export" / "preprocessor_config.json").read_text())
    assert processor["image_mean"] == list(any_base.mean)
    assert 96 in processor["size"].values()
    card = (tmp_path / "export" / "README.md").read_text()
    assert f"import {KINDS[any_base.family].__name__}\n" in card
    assert str(tmp_path) not in card + json.dumps(config)


def test_a_projection_of_the_channels_lies_beside_the_network(any_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(any_base, LoRA(rank=2), 64, channels=4)
    merge_and_export(segmenter, tmp_path / "export")
    model = KINDS[any_base.family].from_pretrained(tmp_path / "export")
    projection = load_file(tmp_path / "export" / "channel_projection.safetensors")
    images = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        colours = torch.nn.functional.conv2d(images, projection["weight"], projection["bias"])
        found = model((colours - segmenter.mean) / segmenter.std, multimask_output=True).pred_masks[:, 0]
        expected = segmenter(images)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    card = (tmp_path / "export" / "README.md").read_text()
    assert 'load_file("export/channel_projection.safetensors")' in card
    assert "- **Channels**: 4, which a learned projection brings to the network's three" in card
    assert not (tmp_path / "export" / "preprocessor_config.json").exists()  # it would take three
    merge_and_export(segmenter, tmp_path / "export")  # an earlier share is replaced
    assert segmenter.network.is_projected


def test_the_image_processor_does_what_the_segmenter_does(tiny_base: Base, tmp_path: Path) -> None:
    segmenter = new_segmenter(tiny_base, HeadOnly(), 32)
    merge_and_export(segmenter, tmp_path / "export")
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    processor = SamImageProcessorPil.from_pretrained(tmp_path / "export")
    made = processor(picture.numpy(), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(made, (picture / 255 - segmenter.mean) / segmenter.std, atol=1e-5, rtol=0)


def test_the_card_has_the_runs_scores_and_picture(run: Path, tmp_path: Path) -> None:
    merge_and_export(load_model(run), tmp_path / "export", run, picture=True)
    assert "On the test split:" in (tmp_path / "export" / "README.md").read_text()
    assert (tmp_path / "export" / "overlay.png").is_file()
    merge_and_export(load_model(run), tmp_path / "export", run)
    assert not (tmp_path / "export" / "overlay.png").exists()
