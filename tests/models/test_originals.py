"""With the same weights, our networks give the numbers of the authors' own (tests/originals/make_references.py)."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from samtailor.models.checkpoints import load_strictly
from samtailor.models.key_maps import convert_hiera, convert_tiny_vit, convert_vit
from tests.originals.networks import LITE_MEDSAM, MOBILE_SAM, SIDES, build
from tests.originals.weights import random_state, random_tensor, thinned

FOLDER = Path(__file__).parents[1] / "originals"
PROMPTS = ("default", "points", "box", "mask")


def authors_state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' weights: their keys are stored, their numbers come from the keys."""
    keys = json.loads(zlib.decompress(stored["keys"].numpy().tobytes()))
    return random_state({key: tuple(shape) for key, shape in keys.items()})


def convert(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    match name:
        case "sam":
            return convert_vit(state)
        case "mobile-sam":
            return convert_tiny_vit(state, MOBILE_SAM.heads)
        case "lite-medsam":
            return convert_tiny_vit(state, LITE_MEDSAM.heads)
        case _:
            return convert_hiera(state, "2")


@pytest.mark.parametrize(("name", "side"), [(name, side) for name, sides in SIDES.items() for side in sides])
class TestNumbersOfTheAuthors:
    def test_image_embedding(self, name: str, side: int) -> None:
        stored = load_file(FOLDER / f"{name}.safetensors")
        network = build(name).eval()
        load_strictly(network, convert(name, authors_state(stored)), name)
        image = random_tensor(f"image {side}", (1, 3, side, side))
        with torch.inference_mode():
            if name == "sam2":
                for found, level in zip(network(image).image_embeddings, ("finer", "fine", "embedding"), strict=True):
                    assert_close(found, stored[f"{side}/{level}"])
            else:
                assert_close(network.vision_encoder(image).last_hidden_state, stored[f"{side}/embedding"])

    @pytest.mark.parametrize("multimask", [True, False])
    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_masks_and_iou(self, name: str, side: int, prompt: str, multimask: bool) -> None:
        stored = load_file(FOLDER / f"{name}.safetensors")
        network = build(name).eval()
        load_strictly(network, convert(name, authors_state(stored)), name)
        image = random_tensor(f"image {side}", (1, 3, side, side))
        with torch.inference_mode():
            found = network(image, multimask_output=multimask, **arguments(prompt, side, stored))
        assert_close(thinned(found.pred_masks[:, 0]), stored[f"{side}/{prompt}/{multimask}/masks"])
        assert_close(found.iou_scores[:, 0], stored[f"{side}/{prompt}/{multimask}/iou"])


def arguments(prompt: str, side: int, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The prompts of the script, as transformers takes them."""
    points = torch.tensor([[[[0.2, 0.3], [0.7, 0.6]]]]) * side
    labels = torch.tensor([[[1, 0]]], dtype=torch.int)
    match prompt:
        case "points":
            return {"input_points": points, "input_labels": labels}
        case "box":
            return {"input_boxes": torch.tensor([[[0.1, 0.2, 0.6, 0.9]]]) * side}
        case "mask":
            cells = stored[f"{side}/embedding"].shape[-1]
            mask = random_tensor("mask", (1, 1, 4 * cells, 4 * cells))
            return {"input_points": points, "input_labels": labels, "input_masks": mask}
        case _:
            return {}


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Agreement to 1e-4 of the largest number."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
