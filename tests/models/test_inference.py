"""The copy for prediction gives the same masks and leaves the segmenter as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from samtailor.models.inference import inference_copy
from samtailor.models.zoo import Base
from samtailor.recipes.recipe import Adapter, Full, HeadOnly, LoRA, Recipe
from tests.recipes.test_recipes import described, segmenter_of, train_a_little

RECIPES: list[Recipe] = [LoRA(rank=2), LoRA(rank=2, dora=True), Adapter(depth=True), HeadOnly(), Full()]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_the_copy_gives_the_same_masks(recipe: Recipe, any_base: Base, images: Tensor) -> None:
    segmenter = segmenter_of(any_base, recipe).train()
    train_a_little(segmenter, images)
    ready = segmenter.for_inference()
    with torch.inference_mode():
        expected = segmenter.eval()(images)
        torch.testing.assert_close(ready(images), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
def test_the_segmenter_stays_as_it_is(recipe: Recipe, any_base: Base, images: Tensor) -> None:
    segmenter = segmenter_of(any_base, recipe).train()
    train_a_little(segmenter, images)
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    trained = list(segmenter.trained_state())
    segmenter.for_inference()
    assert segmenter.training
    assert list(segmenter.trained_state()) == trained
    after = segmenter.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    segmenter(images).square().mean().backward()


def test_only_what_is_merged_takes_memory(any_base: Base) -> None:
    segmenter = segmenter_of(any_base, LoRA(rank=2))
    ready = segmenter.for_inference()
    shared = {p.data_ptr() for p in segmenter.parameters()}
    own = [name for name, p in ready.named_parameters() if p.data_ptr() not in shared]
    assert own
    assert all(".q_proj." in name or ".v_proj." in name for name in own if "norm" not in name and "conv" not in name)


def test_a_foldable_module_is_folded() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, values: Tensor) -> Tensor:
            return 2 * self.layer(values)

        def folded(self) -> nn.Module:
            layer = nn.Linear(2, 2)
            layer.load_state_dict({name: 2 * value for name, value in self.layer.state_dict().items()})
            return layer

    network = nn.Sequential(Doubled())
    ready = inference_copy(network)
    values = torch.rand(3, 2)
    assert isinstance(ready[0], nn.Linear)
    torch.testing.assert_close(ready(values), network(values))
