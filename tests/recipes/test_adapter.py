"""Where adapters stand and what they compute (Eq. 5), checked against the equations written out."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter
from samtailor.recipes.adapter_layers import (
    AdaptedInput,
    AdaptedOutput,
    Bottleneck,
    DepthAdapter,
    ParallelAdapter,
    tell_images,
)


def bottleneck(width: int = 8, seed: int = 0) -> Bottleneck:
    """A bottleneck that is not zero."""
    made = Bottleneck(width, 4)
    random = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=random)
    return made


def through(adapter: Bottleneck, tokens: Tensor) -> Tensor:
    """ReLU(x W_down) W_up."""
    hidden = F.linear(tokens, adapter.down.weight, adapter.down.bias).clamp(min=0)
    return F.linear(hidden, adapter.up.weight, adapter.up.bias)


TOKENS = torch.randn(6, 5, 8, generator=torch.Generator().manual_seed(1))


class Squared(nn.Module):
    """A layer that is not linear, so that before and after it are two places."""

    def forward(self, tokens: Tensor, *padding: Tensor) -> Tensor:
        return tokens.square() + sum(padding)


def test_a_bottleneck_is_relu_between_two_projections_to_a_quarter() -> None:
    adapter = bottleneck()
    assert adapter.down.out_features == adapter.up.in_features == 2
    torch.testing.assert_close(adapter(TOKENS), through(adapter, TOKENS))
    assert (through(adapter, TOKENS) != adapter.up(adapter.down(TOKENS))).any()  # the test sees a ReLU


def test_a_bottleneck_that_would_be_empty_is_refused(tiny_base: Base) -> None:
    with pytest.raises(ConfigError, match=r"reduction: expected at most \d+, the width of one of .*; found 4096"):
        SegmenterModel.create(
            tiny_base.name,
            Adapter(reduction=4096),
            LabelSpace.from_names(("a", "b")),
            Preprocessing(Range(), 32, None, 1),
        )


def test_each_place_of_an_adapter_is_as_in_the_equations() -> None:
    adapter, layer = bottleneck(), Squared()
    output = layer(TOKENS)
    torch.testing.assert_close(AdaptedOutput(layer, adapter)(TOKENS), output + through(adapter, output))
    torch.testing.assert_close(AdaptedInput(layer, adapter)(TOKENS), layer(TOKENS + through(adapter, TOKENS)))
    parallel = ParallelAdapter(layer, adapter, 0.5)
    torch.testing.assert_close(parallel(TOKENS), output + 0.5 * through(adapter, TOKENS))


def test_a_depth_adapter_attends_over_the_same_place_of_a_group_s_slices() -> None:
    adapter, heads = bottleneck(), 2
    depth = DepthAdapter(Squared(), adapter, heads, 3)
    depth.images = 6
    attended = torch.empty_like(TOKENS)
    for group in range(2):
        for place in range(5):
            seen = TOKENS[3 * group : 3 * group + 3, place].view(3, heads, 4)
            for head in range(heads):
                vectors = seen[:, head]
                weights = (vectors @ vectors.T / 2).softmax(dim=1)  # the root of four channels
                attended[3 * group : 3 * group + 3, place, 4 * head : 4 * head + 4] = weights @ vectors
    expected = (TOKENS + through(adapter, attended)).square()
    torch.testing.assert_close(depth(TOKENS), expected, rtol=1e-4, atol=1e-4)
    padding = torch.randn(8)
    torch.testing.assert_close(
        depth(TOKENS, padding), expected + padding + through(adapter, padding), rtol=1e-4, atol=1e-4
    )


def test_windows_of_a_slice_are_attended_with_the_same_windows_of_its_neighbours() -> None:
    depth = DepthAdapter(nn.Identity(), bottleneck(), 2, 3)
    windows = torch.randn(6 * 4, 5, 8)  # four windows of each of six slices, slice by slice
    tell_images(depth, nn.Identity(), (torch.zeros(6),))
    found = depth(windows).view(2, 3, 4, 5, 8)
    tell_images(depth, nn.Identity(), (torch.zeros(3),))
    one = windows.view(2, 3, 4, 5, 8)[1, :, 2]
    torch.testing.assert_close(found[1, :, 2], depth(one), rtol=1e-4, atol=1e-5)
    depth.images = 4
    with pytest.raises(ValueError, match="expected groups of 3 neighbouring slices, found 4 images"):
        depth(windows)


def model_of(base: Base, recipe: Adapter) -> SegmenterModel:
    labels = LabelSpace.from_names(("background", "liver", "spleen"))
    model = SegmenterModel.create(base.name, recipe, labels, Preprocessing(Range(), 64, None, 1)).eval()
    torch.manual_seed(0)
    for name, parameter in model.trained_state().items():
        if ".adapter." in name:
            nn.init.normal_(parameter, std=0.3)
    return model


def test_adapters_stand_in_the_places_of_the_method(any_base: Base) -> None:
    network = model_of(any_base, Adapter(depth=True)).network
    blocks = [m for m in network.image_encoder.modules() if hasattr(m, "attn") and hasattr(m, "mlp")]
    for block in map(cast_any, blocks):
        assert isinstance(block.attn, DepthAdapter)
        assert isinstance(block.attn.layer, AdaptedOutput)
        assert isinstance(block.mlp, ParallelAdapter)
        assert block.mlp.scale == 0.5
        assert block.attn.slices == 3
    for layer in map(cast_any, network.mask_decoder.transformer.layers):
        assert isinstance(layer.mlp, ParallelAdapter)
        assert layer.mlp.scale == 0.5
        assert isinstance(layer.layer_norm4, AdaptedInput)
        assert not isinstance(layer.self_attn, AdaptedOutput)
    alone = model_of(any_base, Adapter()).network.image_encoder
    assert not any(isinstance(module, DepthAdapter) for module in alone.modules())


def cast_any(module: nn.Module) -> Any:
    return cast(Any, module)


def test_the_decoder_s_second_adapter_stands_before_the_norm_behind_the_image_to_token_attention(
    any_base: Base,
) -> None:
    """The norm's input is the residual of that attention, (B, 1, image tokens, C)."""
    network = model_of(any_base, Adapter()).network
    layer = cast_any(network.mask_decoder.transformer.layers[0])
    seen: dict[str, Any] = {}
    layer.cross_attn_image_to_token.register_forward_hook(lambda m, i, o: seen.update(attended=o[0]))
    layer.layer_norm4.register_forward_pre_hook(lambda m, i: seen.update(taken=i[0]))
    layer.layer_norm4.layer.register_forward_pre_hook(lambda m, i: seen.update(normed=i[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert seen["taken"].shape == seen["attended"].shape
    with torch.no_grad():
        torch.testing.assert_close(seen["normed"], seen["taken"] + through(layer.layer_norm4.adapter, seen["taken"]))


@pytest.mark.parametrize("before", [3, 6])
def test_a_split_encoder_takes_as_many_slices_as_are_in_the_batch(before: int, any_base: Base) -> None:
    """Whatever was computed before: the images of a batch are counted where its blocks are passed."""
    model = model_of(any_base, Adapter(depth=True, last_blocks=1))
    images = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = model.encode(images)
        model.encode(images[:before])
        for found, feature in zip(model.encode_rest(model.encode_frozen(images)), expected, strict=True):
            torch.testing.assert_close(found, feature)
        model.encode(images[:3])
        everything = model_of(any_base, Adapter(depth=True))
        everything.encode(images[:before])
        torch.testing.assert_close(everything.encode_rest(everything.encode_frozen(images)), everything.encode(images))
