"""Encoders give the same with and without a graph, and make one only from the first trained block on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from samtailor.models import blocks
from samtailor.models.tiny_vit import TinyViTBlock
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, Full, LoRA, Recipe
from samtailor.recipes.lora import Layers
from samtailor.recipes.recipe import attention_blocks
from tests.recipes.test_recipes import described, segmenter_of, train_a_little


@pytest.mark.parametrize("recipe", [LoRA(rank=2), Adapter(depth=True), Full()], ids=described)
def test_without_a_graph_the_masks_are_the_same(
    recipe: Recipe, any_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CHUNK", 48)  # few tokens at a time, and not a divisor of their number
    images = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    segmenter = segmenter_of(any_base, recipe)
    train_a_little(segmenter, images)
    expected = segmenter(images)
    with torch.no_grad():
        found = segmenter(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("layers", ["query-value", "linear", "all"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_frozen_blocks_before_the_first_trained_one_keep_nothing(
    any_base: Base, checkpointing: bool, layers: Layers
) -> None:
    images = torch.rand(1, 3, 64, 64)
    kept = []
    for last_blocks in (None, 1):
        segmenter = segmenter_of(any_base, LoRA(2, last_blocks=last_blocks, layers=layers, norms=layers == "all"))
        segmenter.network.recompute_activations(checkpointing)
        stored: list[int] = []

        def keep(tensor: Tensor, stored: list[int] = stored) -> Tensor:
            stored.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            sum(feature.sum() for feature in segmenter.encode(images)).backward()  # type: ignore[union-attr]
        kept.append(sum(stored))
        assert all(
            (parameter.grad is not None) == parameter.requires_grad
            for name, parameter in segmenter.network.image_encoder.named_parameters()
        )
    assert kept[1] < kept[0]


def test_blocks_get_tokens_whose_channels_lie_side_by_side(any_base: Base) -> None:
    segmenter = segmenter_of(any_base, LoRA(rank=2))
    encoder = segmenter.network.image_encoder
    strides: list[int] = []

    def keep(block: nn.Module, inputs: tuple[Tensor]) -> None:
        strides.append(inputs[0].stride(1 if isinstance(block, TinyViTBlock) else -1))

    for name in attention_blocks(encoder, None):
        encoder.get_submodule(name).register_forward_pre_hook(keep)
    segmenter(torch.rand(1, 3, 64, 64))
    assert strides
    assert set(strides) == {1}
