"""Promises every recipe keeps: identity at the start, the named parameters and no others, save and load, merge."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base, load_base
from samtailor.recipes import RECIPES as REGISTRY
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe, RecipeName, recipe_from_json, recipe_to_json
from samtailor.recipes.lora import Layers
from samtailor.recipes.recipe import adapted_modules, attention_blocks
from tests.tiny_base import WIDTH

RECIPES: list[Recipe] = [
    LoRA(rank=2),
    LoRA(rank=2, dora=True),
    LoRA(rank=2, rslora=True, last_blocks=1),
    LoRA(rank=2, alpha=6),
    LoRA(rank=2, layers="linear"),
    LoRA(rank=2, layers="all", norms=True),
    LoRA(rank=2, layers="all", dora=True, last_blocks=1, norms=True),
    LoRA(rank=2, norms=True),
    Adapter(),
    Adapter(depth=True),
    Adapter(last_blocks=1),
    HeadOnly(),
    Full(),
]

HEAD = r"prompt_encoder\.(?!shared_embedding).*|mask_decoder\.(?!transformer\.|conv_s|pred_obj).*"
HIGH_RESOLUTION = r"mask_decoder\.conv_s.*"
BACKBONE = r"(image_encoder|mask_decoder\.transformer)\."
TRAINED = {
    "LoRA": rf"{HEAD}|{HIGH_RESOLUTION}|{BACKBONE}.*\.[qv]_proj\.lora_.*",
    "LoRA-layers": rf"{HEAD}|{HIGH_RESOLUTION}|{BACKBONE}.*\.lora_.*",
    "Adapter": rf"{HEAD}|{HIGH_RESOLUTION}|{BACKBONE}.*\.adapter\..*",
    "HeadOnly": rf"{HEAD}|mask_decoder\.transformer\..*",
    "Full": r"(?!prompt_encoder\.shared_embedding|mask_decoder\.pred_obj).*",
}


def described(recipe: Recipe) -> str:
    """Name of a recipe with its options, for the names of the tests."""
    changed = [f.name for f in fields(recipe) if getattr(recipe, f.name) != f.default]
    return "-".join([type(recipe).__name__, *changed])


def trained_by(recipe: Recipe, network: ClassAwareSam) -> str:
    """Pattern of the names of what a recipe trains of a network that it was applied to."""
    if not isinstance(recipe, LoRA):
        return TRAINED[type(recipe).__name__]
    pattern = TRAINED["LoRA" if recipe.layers == "query-value" else "LoRA-layers"]
    adapted = [name for name, _ in adapted_modules(network, recipe.last_blocks)]
    if recipe.layers == "all":
        small = (f"{n}.weight" for n in adapted if getattr(network.get_submodule(n), "groups", 1) > 1)
        tiny = (f"{n}.weight" for n in adapted if n == "image_encoder.patch_embed.0.conv")  # 3 to 4 channels
        pattern = "|".join([pattern, *map(re.escape, [*small, *tiny])])
    if recipe.norms:
        norms = [n for n in adapted if "Norm" in type(network.get_submodule(n)).__name__ and not n.endswith("conv")]
        norms = [n for n in norms if not list(network.get_submodule(n).children())]  # a ConvNorm is no norm
        pattern = "|".join([pattern, *(rf"{re.escape(n)}\.(weight|bias)" for n in norms)])
    return pattern


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def network_of(base: Base, classes: int = 3) -> ClassAwareSam:
    return ClassAwareSam(load_base(base.name), classes).eval()


def segmenter_of(base: Base, recipe: Recipe) -> SegmenterModel:
    labels = LabelSpace.from_names(("background", "liver", "spleen"))
    return SegmenterModel.create(base.name, recipe, labels, Preprocessing(Range(), 64, None, 1)).eval()


def train_a_little(segmenter: SegmenterModel, images: Tensor) -> None:
    """Move every trained parameter that has a gradient."""
    optimizer = torch.optim.SGD([p for p in segmenter.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        segmenter(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_every_recipe_is_registered_under_its_name() -> None:
    assert tuple(REGISTRY) == get_args(RecipeName)
    assert {type(recipe) for recipe in RECIPES} == set(REGISTRY.values())


def test_importing_the_recipes_imports_nothing_heavy() -> None:
    code = "import sys, samtailor; samtailor.LoRA(4); sys.exit(bool({'torch', 'numpy', 'peft'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
class TestEveryRecipe:
    def test_the_output_is_the_base_s_at_the_start(self, recipe: Recipe, any_base: Base, images: Tensor) -> None:
        network = network_of(any_base)
        before = network(images)
        recipe.apply(network)
        torch.testing.assert_close(network.eval()(images), before, rtol=1e-5, atol=1e-6)

    def test_the_named_parameters_are_trained_and_no_others(self, recipe: Recipe, any_base: Base) -> None:
        network = network_of(any_base)
        recipe.apply(network)
        trained = re.compile(trained_by(recipe, network))
        for name, parameter in network.named_parameters():
            expected = bool(trained.fullmatch(name))
            assert parameter.requires_grad == expected, name

    def test_gradients_reach_encoder_and_decoder_as_named(self, recipe: Recipe, any_base: Base, images: Tensor) -> None:
        segmenter = segmenter_of(any_base, recipe)
        train_a_little(segmenter, images)
        segmenter(images).square().mean().backward()
        moved = {n for n, p in segmenter.network.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved <= set(segmenter.trained_state())
        assert "mask_decoder.mask_tokens.weight" in moved
        assert "prompt_encoder.no_mask_embed.weight" in moved
        assert any(n.startswith("image_encoder") for n in moved) != isinstance(recipe, HeadOnly)

    def test_keys_are_untouched(self, recipe: Recipe, any_base: Base, images: Tensor) -> None:
        segmenter = segmenter_of(any_base, recipe)
        before = {n: p.clone() for n, p in segmenter.network.named_parameters() if not p.requires_grad}
        train_a_little(segmenter, images)
        after = dict(segmenter.network.named_parameters())
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert isinstance(recipe, HeadOnly | Full) or any("k_proj" in name for name in before)

    def test_save_and_load_give_the_same_output(
        self, recipe: Recipe, any_base: Base, images: Tensor, tmp_path: Path
    ) -> None:
        segmenter = segmenter_of(any_base, recipe)
        train_a_little(segmenter, images)
        segmenter.save(tmp_path)
        torch.testing.assert_close(SegmenterModel.load(tmp_path)(images), segmenter(images), rtol=0, atol=0)

    def test_its_settings_survive_json(self, recipe: Recipe) -> None:
        assert recipe_from_json(recipe_to_json(recipe)) == recipe


@pytest.mark.parametrize("recipe", [r for r in RECIPES if isinstance(r, LoRA)], ids=described)
def test_lora_merges_into_the_weights_with_the_same_output(recipe: LoRA, any_base: Base, images: Tensor) -> None:
    segmenter = segmenter_of(any_base, recipe)
    untrained = segmenter(images)
    for name, parameter in segmenter.trained_state().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    bypassed = segmenter(images)
    size = bypassed.abs().max()
    merged = segmenter.merge()
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (bypassed - untrained).abs().max() > 0.1 * size
    assert (merged(images) - bypassed).abs().max() < 1e-4 * size


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lora", "rank": 0}, "rank: expected a whole number from 1 to 4096; found 0"),
        ({"name": "lora", "alpha": 0}, "alpha: expected a whole number from 1 to 1000000; found 0"),
        ({"name": "lora", "last_blocks": 0}, "last_blocks: expected a whole number from 1 to 1000000; found 0"),
        ({"name": "adapter", "last_blocks": -1}, "last_blocks: expected a whole number from 1 to 1000000; found -1"),
    ],
)
def test_a_setting_that_can_adapt_nothing_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_from_json(settings)


def test_lora_is_b_a_without_further_scaling(tiny_base: Base) -> None:
    network = network_of(tiny_base)
    LoRA(rank=3).apply(network)
    query = network.get_submodule("mask_decoder.transformer.final_attn_token_to_image.q_proj")
    a, b = query.lora_A["default"], query.lora_B["default"]  # type: ignore[index,union-attr]
    torch.nn.init.normal_(b.weight)
    tokens = torch.randn(1, 5, WIDTH)
    expected = query.base_layer(tokens) + tokens @ a.weight.T @ b.weight.T  # type: ignore[operator]
    assert a.weight.shape == (3, WIDTH)
    assert b.weight.shape == (WIDTH // 2, 3)
    torch.testing.assert_close(query(tokens), expected, rtol=1e-4, atol=1e-4)


def first_step(base: Base, recipe: LoRA) -> Tensor:
    """How far the first step of gradient descent takes what a query projection gives to where it is to go."""
    torch.manual_seed(0)
    network = network_of(base)
    recipe.apply(network)
    query = network.get_submodule("mask_decoder.transformer.final_attn_token_to_image.q_proj")
    b = query.lora_B["default"].weight  # type: ignore[index,union-attr]
    random = torch.Generator().manual_seed(1)
    tokens, wanted = (torch.randn(100, width, generator=random) for width in (WIDTH, WIDTH // 2))
    before = query(tokens)
    (gradient,) = torch.autograd.grad((before * wanted).sum(), b)
    with torch.no_grad():
        b -= 1e-3 * gradient
        return ((before - query(tokens)) * wanted).sum()


def test_the_first_step_of_rslora_is_as_large_at_every_rank(tiny_base: Base) -> None:
    usual = first_step(tiny_base, LoRA(rank=4))
    assert first_step(tiny_base, LoRA(rank=4, rslora=True)) == usual
    for rank in (1, 16, 64):
        assert 0.6 * usual < first_step(tiny_base, LoRA(rank=rank, rslora=True)) < 1.6 * usual
        assert 0.6 * usual < first_step(tiny_base, LoRA(rank=rank)) * 4 / rank < 1.6 * usual


@pytest.mark.parametrize(
    ("recipe", "scale"),
    [
        (LoRA(rank=16), 1.0),
        (LoRA(rank=16, alpha=8), 0.5),
        (LoRA(rank=16, rslora=True), 0.5),
        (LoRA(rank=16, rslora=True, alpha=16), 4.0),
    ],
    ids=str,
)
def test_alpha_scales_the_update(recipe: LoRA, scale: float, tiny_base: Base) -> None:
    network = network_of(tiny_base)
    recipe.apply(network)
    query = network.get_submodule("mask_decoder.transformer.final_attn_token_to_image.q_proj")
    a, b = query.lora_A["default"], query.lora_B["default"]  # type: ignore[index,union-attr]
    torch.nn.init.normal_(b.weight)
    tokens = torch.randn(1, 5, WIDTH)
    expected = query.base_layer(tokens) + scale * (tokens @ a.weight.T @ b.weight.T)  # type: ignore[operator]
    torch.testing.assert_close(query(tokens), expected, rtol=1e-4, atol=1e-4)


def test_segmenters_from_before_alpha_was_a_setting_are_loaded_as_they_were_fitted(
    tiny_base: Base, images: Tensor, tmp_path: Path
) -> None:
    for recipe in (LoRA(rank=16, rslora=True, alpha=16), LoRA(rank=3), Adapter()):
        segmenter = segmenter_of(tiny_base, recipe)
        train_a_little(segmenter, images)
        segmenter.save(tmp_path)
        content = json.loads((tmp_path / "segmenter.json").read_text())
        content["recipe"].pop("alpha", None)
        (tmp_path / "segmenter.json").write_text(json.dumps(content))
        torch.testing.assert_close(SegmenterModel.load(tmp_path)(images), segmenter(images), rtol=0, atol=0)


def updated(network: ClassAwareSam) -> set[str]:
    """Layers that have an update."""
    return {name.split(".lora_A.")[0] for name, _ in network.named_parameters() if ".lora_A." in name}


def layers_of(network: ClassAwareSam, kind: type[nn.Module], inside: str) -> dict[str, nn.Module]:
    """Layers of a kind whose names begin so."""
    return {n: m for n, m in network.named_modules() if isinstance(m, kind) and re.match(inside, n)}


def test_more_layers_are_all_there_are(any_base: Base) -> None:
    plain = network_of(any_base)
    linear = layers_of(plain, nn.Linear, rf"{BACKBONE}")
    convolutions = layers_of(plain, nn.Conv2d, r"image_encoder\.")
    found = {}
    for layers in ("query-value", "linear", "all"):
        network = network_of(any_base)
        LoRA(rank=2, layers=layers).apply(network)  # type: ignore[arg-type]
        found[layers] = updated(network)
    assert found["query-value"] == {name for name in linear if name.endswith((".q_proj", ".v_proj"))}
    assert found["linear"] == linear.keys()
    small = {n for n, c in convolutions.items() if cast(nn.Conv2d, c).groups > 1 or n.endswith("patch_embed.0.conv")}
    assert found["all"] == linear.keys() | convolutions.keys() - small
    assert bool(small) == (any_base.family == "tiny-vit")


@pytest.mark.parametrize("layers", ["linear", "all"])
def test_before_the_last_blocks_nothing_is_trained(layers: Layers, any_base: Base) -> None:
    network = network_of(any_base)
    block = attention_blocks(network.image_encoder, 1)[0]
    names = [name for name, _ in network.image_encoder.named_parameters()]
    before = names[: next(i for i, name in enumerate(names) if name.startswith(f"{block}."))]
    LoRA(rank=2, layers=layers, norms=True, last_blocks=1).apply(network)
    trained = [name for name, p in network.image_encoder.named_parameters() if p.requires_grad]
    assert not [name for name in trained if name.replace(".base_layer", "") in before]
    assert any(".lora_" in name and "neck" in name for name in trained) == (layers == "all")
    assert any(name.startswith(f"{block}.layer_norm1") for name in trained)


def test_a_rank_at_which_an_update_is_no_smaller_trains_the_kernel(tiny_base: Base) -> None:
    network = network_of(tiny_base)
    LoRA(rank=16, layers="all").apply(network)
    name = "image_encoder.stages.0.blocks.0.conv1.conv"  # 8 to 32 channels: 256 weights
    assert name not in updated(network)
    assert network.get_submodule(name).weight.requires_grad  # type: ignore[union-attr]
