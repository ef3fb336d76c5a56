"""Fine features change nothing at the start, are trained by every recipe, and go wherever the embedding goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.fine_features import FineFeatures
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base, load_base
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.sharing.export import merge_and_export
from tests.models.test_class_aware import seen_and_kept
from tests.recipes.test_recipes import described, train_a_little

RECIPES: list[Recipe] = [
    LoRA(rank=2),
    LoRA(rank=2, last_blocks=1, layers="all", norms=True),
    Adapter(last_blocks=1),
    HeadOnly(),
    Full(),
]


def segmenter_of(base: Base, recipe: Recipe, fine_features: bool = True) -> SegmenterModel:
    labels = LabelSpace.from_names(("background", "liver", "spleen"))
    preprocessing = Preprocessing(Range(), 64, None, 1)
    torch.manual_seed(0)
    return SegmenterModel.create(base.name, recipe, labels, preprocessing, fine_features=fine_features).eval()


def fine_of(segmenter: SegmenterModel) -> FineFeatures:
    assert segmenter.network.fine_features is not None
    return segmenter.network.fine_features


def randomise(module: nn.Module) -> None:
    """Whatever was zero is random."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_at_the_start_they_change_no_bit(any_base: Base, images: Tensor) -> None:
    torch.manual_seed(0)  # tokens of classes start at random
    plain = ClassAwareSam(load_base(any_base.name), 3).eval()
    torch.manual_seed(0)
    fine = ClassAwareSam(load_base(any_base.name), 3, fine_features=True).eval()
    assert torch.equal(fine(images), plain(images))
    with torch.inference_mode():
        assert torch.equal(fine(images), plain(images))


@pytest.mark.parametrize("recipe", RECIPES, ids=described)
class TestEveryRecipe:
    def test_all_of_them_are_trained(self, recipe: Recipe, any_base: Base, images: Tensor) -> None:
        segmenter = segmenter_of(any_base, recipe)
        train_a_little(segmenter, images)  # the first step moves what was zero, so that a gradient reaches the stem
        segmenter(images).square().mean().backward()
        still = [name for name, p in fine_of(segmenter).named_parameters() if p.grad is None or not p.grad.any()]
        assert not still

    def test_they_are_saved_and_loaded(self, recipe: Recipe, any_base: Base, images: Tensor, tmp_path: Path) -> None:
        segmenter = segmenter_of(any_base, recipe)
        train_a_little(segmenter, images)
        segmenter.save(tmp_path)
        assert json.loads((tmp_path / "segmenter.json").read_text())["format"] == 4
        loaded = SegmenterModel.load(tmp_path)
        with torch.no_grad():
            assert torch.equal(loaded(images), segmenter(images))
            expected = segmenter(images)
            torch.testing.assert_close(segmenter.for_inference()(images), expected, rtol=1e-4, atol=1e-4)

    def test_they_are_made_again_of_what_is_kept_of_an_image(
        self, recipe: Recipe, any_base: Base, images: Tensor
    ) -> None:
        segmenter = segmenter_of(any_base, recipe)
        randomise(fine_of(segmenter))
        for rests in (False, True):
            segmenter.network.encoder_rests = rests
            features, gradients = seen_and_kept(segmenter, fine_of(segmenter), images)
            for expected, found in zip(*features, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
            assert gradients[0].keys() == gradients[1].keys() == dict(fine_of(segmenter).named_parameters()).keys()
            for name, gradient in gradients[0].items():
                torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-5)


def test_the_image_encoder_can_still_be_split_between_any_two_blocks(any_base: Base) -> None:
    encoder = ClassAwareSam(load_base(any_base.name), 3, fine_features=True).image_encoder
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        whole = encoder.suffix(encoder.prefix(images, 0), 0)
        for count in range(len(encoder.steps) + 1):
            state = encoder.prefix(images, count)
            assert [tuple(x.shape[1:]) for x in state] == encoder.prefix_shapes(96, count)
            for found, expected in zip(encoder.suffix(state, count), whole, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_without_them_the_coarse_logits_are_left(any_base: Base, images: Tensor) -> None:
    segmenter, plain = (segmenter_of(any_base, HeadOnly(), fine) for fine in (True, False))
    with torch.no_grad():
        expected = plain(images)
        for logits in segmenter.decode_with_coarse(segmenter.encode(images)):
            assert torch.equal(logits, expected)
        randomise(fine_of(segmenter))
        features = segmenter.encode(images)
        fine, coarse = segmenter.decode_with_coarse(features)
    assert torch.equal(coarse, expected)
    assert torch.equal(fine, segmenter.decode(features))
    assert (fine - coarse).abs().max() > 0.1 * coarse.abs().max()


@pytest.mark.parametrize(("stride", "cell"), [(4, 1), (16, 4), (16, 16), (8, 4)])
def test_a_pixel_is_seen_where_it_is(stride: int, cell: int) -> None:
    """An early map whose cells are smaller or larger than those of the maps it joins, and the image itself."""
    fine = FineFeatures(32, stride, (5, cell))
    randomise(fine)
    images, early = torch.zeros(1, 3, 256, 256), torch.zeros(1, 5, 256 // cell, 256 // cell)
    before = fine(images, early)
    images[..., 160, 96] = 1
    of_image = fine(images, early)
    images.zero_()
    early[..., 160 // cell, 96 // cell] = 1
    of_early = fine(images, early)
    for i, pixels in enumerate((stride // 4, stride // 2)):
        assert before[i].shape == (1, (4, 8)[i], 256 // pixels, 256 // pixels)
        for after, reach in ((of_image, 4 * pixels), (of_early, max(cell, pixels))):
            changed = (after[i] != before[i]).any(dim=1)[0].nonzero() * pixels
            assert len(changed)
            assert ((changed - torch.tensor([160, 96])).abs() <= reach).all()
    assert (of_early[0] != before[0]).any(dim=1).sum() == max(1, cell // (stride // 4)) ** 2


def test_segmenters_without_them_are_written_as_ever(tiny_base: Base, tmp_path: Path) -> None:
    segmenter_of(tiny_base, LoRA(rank=2), fine_features=False).save(tmp_path)
    content = json.loads((tmp_path / "segmenter.json").read_text())
    assert content["format"] == 1
    assert "fine_features" not in content


def test_transformers_networks_have_no_place_for_them(any_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fine_features: expected a segmenter without.*save_pretrained"):
        merge_and_export(segmenter_of(any_base, LoRA(rank=2)), tmp_path / "export")
    assert not (tmp_path / "export").exists()
