"""A network's plain copy computes the same, whatever is adapted in it, and leaves the network as it is."""

from __future__ import annotations

import pytest
import torch

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.models.plain import plain
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, Full, LoRA, Recipe

LABELS = LabelSpace.from_names(("background", "field", "water"))


def new_segmenter(base: Base, recipe: Recipe, fine_features: bool = False) -> SegmenterModel:
    preprocessing = Preprocessing(Range(), 64, None, 3)
    model = SegmenterModel.create(base.name, recipe, LABELS, preprocessing, fine_features=fine_features).eval()
    with torch.no_grad():
        for value in model.trained_state().values():
            value += 0.05 * torch.randn(value.shape)
    return model


@pytest.mark.parametrize("recipe", [LoRA(rank=2), Adapter(), Adapter(depth=True), Full()], ids=str)
def test_a_plain_copy_computes_the_same_at_every_size(recipe: Recipe, any_base: Base) -> None:
    model = new_segmenter(any_base, recipe, fine_features=True)
    copied = plain(model.for_inference())
    for side in (64, 96, 160):  # windows that fit, and that reach over the grid
        images = torch.rand(model.group, 3, side, side)
        with torch.no_grad():
            expected, found = model(images), copied(images)
        assert expected.std() > 1e-3
        assert (found - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


def test_the_network_stays_as_it_is(any_base: Base) -> None:
    model = new_segmenter(any_base, Full())
    kinds = [type(module) for module in model.modules()]
    places = [parameter.data_ptr() for parameter in model.parameters()]
    copied = plain(model)
    assert [type(module) for module in model.modules()] == kinds
    assert all(parameter.requires_grad for name, parameter in model.named_parameters() if "upscale" in name)
    assert not set(places) & {parameter.data_ptr() for parameter in copied.parameters()}
