"""The class-aware head: SAM's decoder with K + 1 tokens, started from pretrained ones."""

from __future__ import annotations

import pytest
import torch

from samtailor.models.class_aware import ClassAwareSam, StackedHypernetworks, source_tokens
from samtailor.models.counts import count_parameters
from samtailor.models.zoo import Base, find_base, load_base
from samtailor.recipes.config import LoRA


@pytest.mark.parametrize("classes", [2, 6, 14, 150])
def test_every_number_of_classes_gives_that_many_logits(classes: int, tiny_base: Base) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), classes)
    logits = network(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, classes, 32, 32)
    logits.square().mean().backward()


def test_any_multiple_of_the_stride_is_a_valid_size(tiny_base: Base) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), 3)
    for side in (32, 36, 64, 100):
        assert network(torch.rand(1, 3, side, side)).shape == (1, 3, side, side)


def test_three_classes_start_as_sam_s_own_masks(tiny_base: Base) -> None:
    # With three classes the tokens are exactly the base's four, so the logits must be the base's multi-masks.
    base = load_base(tiny_base.name)
    images = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        expected = base(pixel_values=images, multimask_output=True).pred_masks[:, 0]
        found = ClassAwareSam(base, 3)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_tokens_start_from_pretrained_ones_in_turn() -> None:
    assert source_tokens(5, pretrained=4) == [0, 1, 2, 3, 1, 2]


def test_stacked_hypernetworks_equal_single_ones(tiny_base: Base) -> None:
    networks = list(load_base(tiny_base.name).mask_decoder.output_hypernetworks_mlps)
    tokens = torch.randn(2, len(networks), 256)
    expected = torch.stack([network(tokens[:, i]) for i, network in enumerate(networks)], dim=1)
    torch.testing.assert_close(StackedHypernetworks(networks)(tokens), expected, rtol=1e-5, atol=1e-6)


def test_each_class_adds_a_hypernetwork_a_token_and_an_iou_output() -> None:
    base = find_base("lite-medsam")
    few, many = (count_parameters(base, LoRA(rank=4), classes) for classes in (13, 14))
    added = 139_808 + 256 + 257
    assert many.total - few.total == added
    assert many.trainable - few.trainable == added
