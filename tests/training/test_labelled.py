"""A labelled folder is a data set of torch, whose samples are those of a training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import samtailor
from samtailor.data.formats import read_image
from samtailor.errors import ConfigError
from samtailor.recipes import Adapter, HeadOnly, LoRA
from samtailor.training.settings import AugmentConfig, SamplingConfig
from tests.tiny_base import Base

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "python.md"


def test_samples_are_what_the_network_is_shown(nnunet_folder: Path, tiny_base: Base) -> None:
    samples = samtailor.dataset(nnunet_folder, "val", base=tiny_base.name, sampling=SamplingConfig(image_size=32))
    case = read_image(next(iter(samples.folder.split("val"))).images[0])
    assert len(samples) == sum(len(read_image(files.images[0]).image[0]) for files in samples.folder.split("val"))
    image, target = samples[0]
    assert (image.shape, target.shape) == ((3, 32, 32), (32, 32))
    assert 0 <= image.min() < image.max() <= 1
    assert target.dtype == torch.int64
    shown = samples.preprocessing.prepare(case)
    window = samples.preprocessing.windows(*case.image.shape[-2:])[0]
    np.testing.assert_allclose(image, samples.preprocessing.input_of(np.asarray(shown[0]), window), atol=2e-3)
    torch.testing.assert_close(samples[0][0], image)
    torch.testing.assert_close(samples[-1][0], samples[len(samples) - 1][0])
    with pytest.raises(IndexError, match=f"from 0 to {len(samples) - 1}"):
        samples[len(samples)]


def test_training_samples_change_and_others_do_not(nnunet_folder: Path, tiny_base: Base) -> None:
    def drawn(augment: AugmentConfig | bool | None) -> bool:
        samples = samtailor.dataset(nnunet_folder, base=tiny_base.name, sampling=size, augment=augment)
        first = samples[0][0]
        return all(torch.equal(first, samples[0][0]) for _ in range(8))

    size = SamplingConfig(image_size=32)
    assert not drawn(None)
    assert not drawn(True)
    assert not drawn(AugmentConfig(flip="columns", affine=0, intensity=0))
    assert drawn(False)


def test_a_split_that_is_not_there_is_named(image_folder: Path, tiny_base: Base) -> None:
    with pytest.raises(ConfigError, match=r"split: .*found 'best'"):
        samtailor.dataset(image_folder, "best", base=tiny_base.name)  # type: ignore[arg-type]


def test_a_new_segmenter_learns_in_a_loop_of_ones_own_and_is_saved(
    nnunet_folder: Path, tiny_base: Base, tmp_path: Path
) -> None:
    samples = samtailor.dataset(nnunet_folder, base=tiny_base.name, sampling=SamplingConfig(image_size=32))
    segmenter = samtailor.Segmenter.new(samples, LoRA(rank=2))
    assert segmenter.classes == samples.labels.names
    assert segmenter.recipe == LoRA(rank=2)
    loss_of = samtailor.ClassAwareLoss()
    optimiser = torch.optim.AdamW((p for p in segmenter.model.parameters() if p.requires_grad), lr=1e-3)
    images, targets = next(iter(DataLoader(samples, batch_size=4)))
    losses = []
    for _ in range(8):
        loss = loss_of(segmenter.model(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    segmenter.save_pretrained(tmp_path / "segmenter")
    file = samples.folder.split("val")[0].images[0]
    found = [s.predict(file, device="cpu").label for s in (segmenter, samtailor.load(tmp_path / "segmenter"))]
    np.testing.assert_array_equal(*found)


def test_new_segmenters_start_with_the_seed(image_folder: Path, tiny_base: Base) -> None:
    weights = []
    for seed in (0, 0, 1):
        samples = samtailor.dataset(
            image_folder, base=tiny_base.name, seed=seed, sampling=SamplingConfig(image_size=32)
        )
        weights.append(samtailor.Segmenter.new(samples, HeadOnly()).model.network.mask_decoder.mask_tokens.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("augment", "flip"), [(None, "columns"), (True, "columns"), (False, "none")])
def test_a_segmenter_knows_the_flips_of_its_samples(
    augment: bool | None, flip: str, image_folder: Path, tiny_base: Base
) -> None:
    samples = samtailor.dataset(image_folder, base=tiny_base.name, augment=augment)
    assert samtailor.Segmenter.new(samples, LoRA(rank=2)).model.practice.flip == flip


def test_a_recipe_for_groups_of_slices_is_refused_for_samples_of_one(nnunet_folder: Path, tiny_base: Base) -> None:
    samples = samtailor.dataset(nnunet_folder, base=tiny_base.name)
    with pytest.raises(ConfigError, match=r"recipe: expected one for single slices, found .*depth"):
        samtailor.Segmenter.new(samples, Adapter(depth=True))


def test_the_loop_of_the_guide_runs(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (loop,) = (
        code for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S) if "DataLoader" in code
    )
    assert len(loop.splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiles").symlink_to(image_folder)
    exec(loop, {})
    assert samtailor.load("my-segmenter").classes[0] == "background"
