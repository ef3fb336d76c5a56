"""The decoder that shares an image's work among prompts gives the numbers of transformers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import samtailor
from samtailor.models.sam2 import HieraSam
from samtailor.models.zoo import Base
from samtailor.zeroshot.image_input import InputRule
from samtailor.zeroshot.prompted_image import PromptedImage
from tests.originals.weights import random_state


@pytest.mark.parametrize("kind", ["points", "boxes", "both"])
def test_equals_the_plain_decoder(any_base: Base, kind: str) -> None:
    network = samtailor.load_base(any_base.name)
    # Weights of a network that was trained, not of one that starts: no bias is zero, no gain is one.
    decoder = network.mask_decoder
    decoder.load_state_dict(random_state({name: tuple(value.shape) for name, value in decoder.state_dict().items()}))
    random = np.random.default_rng(0)
    rule = InputRule.from_base(any_base, 96)
    shown = PromptedImage(network, rule, random.integers(0, 255, (96, 96, 3), dtype=np.uint8))
    corners = np.sort(random.uniform(0, 96, (5, 2, 2)), axis=1)
    points = random.uniform(0, 96, (5, 2, 2)) if kind != "boxes" else None
    boxes = corners.reshape(5, 4) if kind != "points" else None
    sparse = shown.embed(points, boxes)
    finer = {"high_resolution_features": list(shown.features[1:])} if isinstance(network, HieraSam) else {}
    with torch.inference_mode():
        masks, iou = decoder(
            image_embeddings=shown.features[0],
            image_positional_embeddings=shown.positions,
            sparse_prompt_embeddings=sparse[None],
            dense_prompt_embeddings=network.prompt_encoder.no_mask_embed.weight[:, :, None, None],
            multimask_output=True,
            **finer,
        )[:2]
        decoded = shown.decoder.transform(sparse)
        found = torch.stack([shown.decoder.masks(decoded, prompt, [1, 2, 3]) for prompt in range(5)])
    assert masks.std() > 0.05
    torch.testing.assert_close(decoded.iou[:, 1:], iou[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, masks[0], atol=1e-5, rtol=1e-5)
