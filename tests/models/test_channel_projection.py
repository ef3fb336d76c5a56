"""Images of any number of channels: three as they are, one repeated, others through a learned projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.errors import DataError
from samtailor.labels import LabelSpace
from samtailor.models.channel_projection import ChannelProjection
from samtailor.models.counts import count_parameters
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base, find_base
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.segmenter import Segmenter, load
from tests.recipes.test_recipes import described

RECIPES: list[Recipe] = [LoRA(rank=2, last_blocks=1), Adapter(), HeadOnly(), Full()]
LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def segmenter_of(base: Base, recipe: Recipe, channels: int) -> SegmenterModel:
    """A segmenter of images of so many channels, whose trained parameters are anything."""
    model = SegmenterModel.create(base.name, recipe, LABELS, Preprocessing(Range(), 64, None, channels)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.trained_state().values():
            value += 0.05 * torch.randn(value.shape, generator=generator)
    return model


@pytest.mark.parametrize("channels", [2, 4, 7])
@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_the_projection_is_saved_and_loaded(recipe: Recipe, channels: int, any_base: Base, tmp_path: Path) -> None:
    model = segmenter_of(any_base, recipe, channels)
    model.save(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, channels)).astype(np.uint8)
    loaded = load(tmp_path)
    found, expected = (segmenter.predict(image, probabilities=True) for segmenter in (loaded, Segmenter(model)))
    assert loaded.model.network.is_projected
    own = loaded.model.network.to_colours.state_dict()
    assert all(torch.equal(own[name], value) for name, value in model.network.to_colours.state_dict().items())
    assert found.label.shape == (1, 50, 70)
    np.testing.assert_array_equal(found.label, expected.label)
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_the_projection_has_the_same_gradient_whatever_is_trained_beside_it(any_base: Base) -> None:
    random = torch.Generator().manual_seed(2)
    images, weights = torch.rand(2, 4, 64, 64, generator=random), torch.randn(2, 3, 64, 64, generator=random)
    gradients = []
    for recipe in RECIPES:
        torch.manual_seed(0)  # the head of the classes starts at random
        model = SegmenterModel.create(any_base.name, recipe, LABELS, Preprocessing(Range(), 64, None, 4)).eval()
        logits = model(images)
        (logits * weights[..., : logits.shape[2], : logits.shape[3]]).sum().backward()
        gradients.append(model.network.to_colours.get_parameter("weight").grad)
    for gradient in gradients:
        assert gradient is not None
        assert gradient.abs().min() > 0
        torch.testing.assert_close(gradient, gradients[-1], rtol=0, atol=1e-3 * gradient.abs().max().item())


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_the_projection_starts_as_the_mean_and_leaves_equal_channels_as_they_are(channels: int) -> None:
    images = torch.rand(2, channels, 8, 8)
    projection = ChannelProjection(channels)
    with torch.no_grad():
        torch.testing.assert_close(projection(images), images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1))
        gray = images[:, :1]
        torch.testing.assert_close(projection(gray.expand(-1, channels, -1, -1)), gray.expand(-1, 3, -1, -1))


def test_equal_channels_start_with_the_logits_of_one(any_base: Base) -> None:
    one, four = (
        SegmenterModel.create(any_base.name, LoRA(), LABELS, Preprocessing(Range(), 64, None, channels)).eval()
        for channels in (1, 4)
    )
    four.network.mask_decoder.load_state_dict(one.network.mask_decoder.state_dict())  # classes start at random
    image, window = np.random.default_rng(0).random((1, 64, 64)).astype(np.float16), Window(0, 0, 64)
    inputs = (one.preprocessing.input_of(image, window), four.preprocessing.input_of(image.repeat(4, 0), window))
    assert [len(given) for given in inputs] == [3, 4]
    with torch.inference_mode():
        torch.testing.assert_close(four(inputs[1][None]), one(inputs[0][None]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_and_three_channels_have_no_projection(channels: int, any_base: Base) -> None:
    model = SegmenterModel.create(any_base.name, LoRA(), LABELS, Preprocessing(Range(), 64, None, channels))
    assert not model.network.is_projected
    assert not any("to_colours" in name for name in model.network.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert model.network.to_colours(images) is images


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_the_projection_counts_as_trainable(recipe: Recipe, any_base: Base) -> None:
    plain, projected = (count_parameters(any_base, recipe, 3, channels) for channels in (1, 4))
    added = 3 * 4 + 3
    assert (projected.total - plain.total, projected.trainable - plain.trainable) == (added, added)
    assert count_parameters(any_base, recipe, 3) == plain


def test_the_real_default_counts_it_too() -> None:
    base = find_base("lite-medsam")
    assert count_parameters(base, HeadOnly(), 3, 2).trainable - count_parameters(base, HeadOnly(), 3).trainable == 9


def test_nothing_is_frozen_behind_a_projection(tiny_base: Base) -> None:
    model = segmenter_of(tiny_base, HeadOnly(), 2)
    with pytest.raises(ValueError, match="changes in training"):
        model.encode_frozen(torch.rand(1, 2, 64, 64))


@pytest.mark.parametrize(
    ("shape", "spacing", "found"),
    [((40, 40, 3), None, 3), ((40, 40), None, 1), ((3, 5, 40, 40), (1, 1, 1), 3), ((4, 40, 40), None, 40)],
)
def test_an_array_of_other_channels_is_refused(
    shape: tuple[int, ...], spacing: tuple[float, float, float] | None, found: int, tiny_base: Base
) -> None:
    segmenter = Segmenter(segmenter_of(tiny_base, HeadOnly(), 4))
    with pytest.raises(DataError, match=rf"^array: expected 4 channels, found {found}; give a picture as \(H, W, C\)"):
        segmenter.predict(np.zeros(shape, np.uint8), spacing=spacing)


def test_a_depth_adapter_s_neighbours_have_all_channels(tiny_base: Base) -> None:
    segmenter = Segmenter(segmenter_of(tiny_base, Adapter(depth=True), 4))
    volume = np.random.default_rng(0).integers(0, 256, (4, 5, 40, 40)).astype(np.int16)
    assert segmenter.predict(volume, spacing=(5, 1, 1)).label.shape == (5, 40, 40)
