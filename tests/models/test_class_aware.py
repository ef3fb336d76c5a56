"""The class-aware head: SAM's decoder with K + 1 tokens, of which the first is SAM's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samtailor.inference.predictor import pack, unpack
from samtailor.models.class_aware import ClassAwareSam, Features, Prompts, StackedHypernetworks
from samtailor.models.counts import count_parameters
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import BASES, Base, find_base, load_base
from samtailor.recipes import Adapter, HeadOnly, LoRA, Recipe
from tests.recipes.test_recipes import described, segmenter_of, train_a_little
from tests.tiny_base import WIDTH
from tests.tiny_base import tiny_base as make_tiny_base


@pytest.fixture
def tiny_sam2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Base:
    """The base `tiny-sam2`, in the zoo while it is used."""
    base = make_tiny_base(tmp_path / "tiny.pth", "sam2")
    monkeypatch.setitem(BASES, base.name, base)
    return base


def with_sam_s_own_tokens(base: Any) -> ClassAwareSam:
    """A head of three classes with exactly the base's four tokens, whose logits are the base's multi-masks."""
    network = ClassAwareSam(base, 3)
    take_sam_s_own_tokens(network, base)
    return network


def take_sam_s_own_tokens(network: ClassAwareSam, base: Any) -> None:
    """Give a head of three classes the base's four tokens and hypernetworks."""
    hypernetworks = StackedHypernetworks(list(base.mask_decoder.output_hypernetworks_mlps))
    network.mask_decoder.hypernetworks.load_state_dict(hypernetworks.state_dict())
    network.mask_decoder.mask_tokens.load_state_dict(base.mask_decoder.mask_tokens.state_dict())


def seen_and_kept(
    segmenter: SegmenterModel, trained: nn.Module, images: Tensor
) -> tuple[list[Features], list[dict[str, Tensor]]]:
    """Feature maps, and a module's gradients by name: from images of side 64, and from what is kept of them."""
    with torch.inference_mode():
        packed = pack(segmenter.encode_frozen(images))
    state = unpack(packed.clone(), segmenter.network.frozen_shapes(64))
    both = [segmenter.encode(images), segmenter.encode_rest(state)]
    gradients = []
    for features in both:
        segmenter.zero_grad()
        segmenter.decode(features).square().mean().backward()
        gradients.append({n: p.grad.clone() for n, p in trained.named_parameters() if p.grad is not None})
    return both, gradients


@pytest.mark.parametrize("classes", [2, 6, 14, 150])
def test_every_number_of_classes_gives_that_many_logits(classes: int, tiny_base: Base) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), classes)
    logits = network(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, classes, 32, 32)
    logits.square().mean().backward()


@pytest.mark.parametrize("side", [96, 256, 512, 1024])
def test_three_classes_with_sam_s_own_tokens_are_its_masks_at_any_size(side: int, any_base: Base) -> None:
    base = load_base(any_base.name)
    images = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        expected = base(pixel_values=images, multimask_output=True).pred_masks[:, 0]
        network = with_sam_s_own_tokens(base)
        found = network(images)
        shapes = [tuple(feature.shape[1:]) for feature in network.encode(images)]
    network.encoder_rests = True
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert shapes == network.frozen_shapes(side)


@pytest.mark.parametrize("map_name", ["conv_s0", "conv_s1"])
def test_sam_2_s_finer_maps_join_the_upscaling_as_in_the_base(map_name: str, tiny_sam2: Base) -> None:
    base = load_base(tiny_sam2.name)
    with torch.no_grad():  # in a random network the finer maps are too faint to be missed
        base.mask_decoder.get_submodule(map_name).weight.mul_(1e3)
    images = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        expected = base(pixel_values=images, multimask_output=True).pred_masks[:, 0]
        network = with_sam_s_own_tokens(base)
        found = network(images)
        place = ("", "conv_s0", "conv_s1").index(map_name)
        features = list(network.encode(images))
        features[place] = torch.zeros_like(features[place])
        without = network.decode(tuple(features))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert (without - expected).abs().max() > 0.1 * expected.abs().max()


def test_image_embeddings_can_be_computed_once_at_any_size(any_base: Base) -> None:
    base = load_base(any_base.name)
    for side in (128, 64):
        images = torch.rand(1, 3, side, side)
        with torch.inference_mode():
            embeddings = base.get_image_embeddings(images)
            found, expected = base(image_embeddings=embeddings).pred_masks, base(images).pred_masks
        torch.testing.assert_close(found, expected)


def test_a_prompted_object_is_sam_s_own_single_mask(any_base: Base) -> None:
    base = load_base(any_base.name)
    images, box = torch.rand(2, 3, 64, 64), torch.tensor([[5.0, 9.0, 40.0, 50.0], [1.0, 2.0, 30.0, 60.0]])
    points, labels = torch.tensor([[[9.0, 9.0]], [[20.0, 30.0]]]), torch.ones(2, 1, dtype=torch.int)
    base.train()  # SAM 2 replaces an unstable single mask by another in evaluation
    with torch.inference_mode():
        by_box = base(pixel_values=images, input_boxes=box[:, None], multimask_output=False).pred_masks[:, 0, 0]
        by_point = base(
            pixel_values=images, input_points=points[:, None], input_labels=labels[:, None], multimask_output=False
        ).pred_masks[:, 0, 0]
        network = ClassAwareSam(base, 14)  # whatever the classes' tokens are
        features = network.encode(images)
        torch.testing.assert_close(network.decode_prompted(features, Prompts(boxes=box)), by_box, rtol=1e-4, atol=1e-5)
        found = network.decode_prompted(features, Prompts(points=points, labels=labels))
        torch.testing.assert_close(found, by_point, rtol=1e-4, atol=1e-5)


def test_recomputed_activations_take_less_memory_and_give_the_same_gradients(any_base: Base) -> None:
    network = ClassAwareSam(load_base(any_base.name), 3)  # in evaluation mode, as Lightning leaves it
    images = torch.rand(1, 3, 128, 128)
    gradients, kept = [], []
    for on in (False, True):
        network.recompute_activations(on)
        network.zero_grad()
        stored: list[int] = []

        def keep(tensor: Tensor, stored: list[int] = stored) -> Tensor:
            stored.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(feature.square().mean() for feature in network.encode(images))
        assert isinstance(loss, Tensor)
        loss.backward()
        kept.append(sum(stored))
        gradients.append({n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None})
    assert kept[1] < 0.6 * kept[0]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_the_image_encoder_can_be_split_between_any_two_blocks(any_base: Base) -> None:
    encoder = ClassAwareSam(load_base(any_base.name), 3).image_encoder
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        whole = encoder.suffix(encoder.prefix(images, 0), 0)
        for count in range(1, len(encoder.steps) + 1):
            state = encoder.prefix(images, count)
            assert [tuple(x.shape[1:]) for x in state] == encoder.prefix_shapes(96, count)
            kept = [x.clone() for x in state]
            for found, expected in zip(encoder.suffix(state, count), whole, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
            assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))


@pytest.mark.parametrize(
    "recipe",
    [
        LoRA(rank=2, last_blocks=1),
        LoRA(rank=2, last_blocks=1, layers="all", norms=True),
        Adapter(last_blocks=2),
        LoRA(rank=2),
        HeadOnly(),
    ],
    ids=described,
)
def test_from_what_is_frozen_come_the_same_features_and_gradients(recipe: Recipe, any_base: Base) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    segmenter = segmenter_of(any_base, recipe)
    train_a_little(segmenter, images)
    features, gradients = seen_and_kept(segmenter, segmenter, images)
    for expected, found in zip(*features, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_no_two_classes_start_alike(any_base: Base) -> None:
    # Classes with the same token and hypernetwork have the same logits until training has told them apart.
    network = ClassAwareSam(load_base(any_base.name), 14)
    with torch.inference_mode():
        logits = network(torch.rand(1, 3, 64, 64))[0].flatten(1)
    assert torch.cdist(logits, logits).fill_diagonal_(torch.inf).min() > 0.1 * logits.norm(dim=1).mean()


def test_stacked_hypernetworks_equal_single_ones(tiny_base: Base) -> None:
    networks = list(load_base(tiny_base.name).mask_decoder.output_hypernetworks_mlps)
    tokens = torch.randn(2, len(networks), WIDTH)
    expected = torch.stack([network(tokens[:, i]) for i, network in enumerate(networks)], dim=1)
    torch.testing.assert_close(StackedHypernetworks(networks)(tokens), expected, rtol=1e-5, atol=1e-6)


def test_each_class_adds_a_hypernetwork_a_token_and_an_iou_output() -> None:
    base = find_base("lite-medsam")
    few, many = (count_parameters(base, LoRA(rank=4), classes) for classes in (13, 14))
    added = 139_808 + 256 + 257
    assert many.total - few.total == added
    assert many.trainable - few.trainable == added
