"""Cached embeddings: computed once, the encoder's own, rebuilt when broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from samtailor.data.cache import CachedCase
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import BASES, Base
from samtailor.recipes import Adapter, HeadOnly, LoRA, Recipe
from samtailor.training import embeddings
from samtailor.training.embeddings import EmbeddingCache, EmbeddingSamples, case_windows
from samtailor.training.samples import choose_slices
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


@pytest.fixture
def cache(tiny_base: Base, tmp_path: Path) -> EmbeddingCache:
    segmenter = SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, 24, 1))
    return EmbeddingCache(Predictor(segmenter, 4, "cpu"), tmp_path)


def test_embeddings_are_computed_once(cache: EmbeddingCache) -> None:
    case = cached_case(LABELS)
    pieces = case_windows(case, cache.predictor.model)
    first = np.array(cache.load(case, pieces))
    (file,) = cache.directory.glob("*.npy")
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(cache.load(case, pieces), first)
    assert file.stat().st_mtime_ns == written
    assert len(first) == len(pieces)


@pytest.mark.parametrize("damage", ["truncate", "alter", "no checksum"])
def test_a_broken_file_is_rebuilt_and_never_used(cache: EmbeddingCache, damage: str) -> None:
    case = cached_case(LABELS)
    pieces = case_windows(case, cache.predictor.model)
    first = np.array(cache.load(case, pieces))
    (file,) = cache.directory.glob("*.npy")
    content = bytearray(file.read_bytes())
    match damage:
        case "truncate":
            file.write_bytes(content[: len(content) // 2])
        case "alter":
            content[-100] ^= 0xFF
            file.write_bytes(content)
        case _:
            file.with_suffix(".crc32").unlink()
    np.testing.assert_array_equal(cache.load(case, pieces), first)


def test_each_first_adapted_block_has_entries_of_its_own(tiny_base: Base, tmp_path: Path) -> None:
    case = cached_case(LABELS)
    recipes = (HeadOnly(), LoRA(last_blocks=1), LoRA(last_blocks=2), Adapter(last_blocks=1))
    for recipe, entries in zip(recipes, (1, 2, 3, 3), strict=True):
        segmenter = SegmenterModel.create(tiny_base.name, recipe, LABELS, Preprocessing(Range(), 32, 24, 1))
        EmbeddingCache(Predictor(segmenter, 4, "cpu"), tmp_path).load(case, case_windows(case, segmenter))
        assert len(list(tmp_path.glob("*.npy"))) == entries


PLAIN = Preprocessing(Range(), 32, 24, 1)


def key_of(
    base: Base,
    case: CachedCase,
    recipe: Recipe | None = None,
    labels: LabelSpace = LABELS,
    preprocessing: Preprocessing = PLAIN,
    slices: list[int] | None = None,
    fine_features: bool = False,
) -> str:
    segmenter = SegmenterModel.create(
        base.name, recipe or HeadOnly(), labels, preprocessing, fine_features=fine_features
    )
    cache = EmbeddingCache(Predictor(segmenter, 4, "cpu"), Path("cache"))
    return cache._key(case, case_windows(case, segmenter, slices))


def test_everything_that_embeddings_depend_on_changes_their_key(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cached_case(LABELS)
    keys = [key_of(tiny_base, case)]
    altered = case.image.copy()
    altered[1, 0, 2, 3] += 0.01
    keys.append(key_of(tiny_base, replace(case, image=altered)))
    keys.append(key_of(tiny_base, replace(case, image=case.image.reshape(12, 1, 20, 40)[:6])))
    keys.append(key_of(tiny_base, case, slices=[0, 1, 3]))
    keys += [key_of(tiny_base, case, preprocessing=replace(PLAIN, field=field)) for field in (None, 16)]
    keys.append(key_of(tiny_base, case, preprocessing=replace(PLAIN, image_size=64)))
    keys.append(key_of(tiny_base, case, fine_features=True))
    keys += [key_of(tiny_base, case, LoRA(last_blocks=blocks)) for blocks in (1, 2)]
    # Other bases on the same file: one that is called otherwise, and one that normalises otherwise.
    for other in (replace(tiny_base, name="other-sam"), replace(tiny_base, mean=(0.1, 0.0, 0.0))):
        with monkeypatch.context() as patch:
            patch.setitem(BASES, other.name, other)
            keys.append(key_of(other, case))
    weights = tmp_path / "other.pth"
    state = torch.load(tiny_base.weights, weights_only=True)
    torch.save({name: value + 1e-3 for name, value in state.items()}, weights)
    with monkeypatch.context() as patch:
        patch.setitem(BASES, tiny_base.name, replace(tiny_base, weights=weights))
        keys.append(key_of(tiny_base, case))
    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "VERSION", "another")
        keys.append(key_of(tiny_base, case))
    assert len(set(keys)) == len(keys)


def test_what_embeddings_do_not_depend_on_leaves_their_key(tiny_base: Base) -> None:
    case = cached_case(LABELS)
    assert case.label is not None
    adapted = [LoRA(last_blocks=1), LoRA(rank=8, rslora=True, last_blocks=1), Adapter(last_blocks=1)]
    adapted.append(LoRA(last_blocks=1, layers="all", norms=True))
    assert len({key_of(tiny_base, case, recipe) for recipe in adapted}) == 1
    others = [
        key_of(tiny_base, replace(case, name="renamed", key="of other labels", label=case.label + 1)),
        key_of(tiny_base, case, labels=LabelSpace.from_names(("background", "organ"))),
        key_of(tiny_base, case, preprocessing=replace(PLAIN, steps=(GaussianDenoising(),))),  # seen in the slices
        key_of(tiny_base, case, preprocessing=replace(PLAIN, intensity=Range(0, 9))),
    ]
    assert {key_of(tiny_base, case)} == set(others)


def test_what_half_precision_cannot_hold_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    segmenter = SegmenterModel.create(tiny_base.name, LoRA(last_blocks=1), LABELS, Preprocessing(Range(), 32, 24, 1))
    with torch.no_grad():
        segmenter.network.image_encoder.patch_embed[2].norm.bias.fill_(1e9)
    cache, case = EmbeddingCache(Predictor(segmenter, 4, "cpu"), tmp_path), cached_case(LABELS)
    with pytest.raises(ConfigError, match="half precision"):
        cache.load(case, case_windows(case, segmenter))
    assert not list(tmp_path.iterdir())


def test_samples_pair_each_window_with_its_target(cache: EmbeddingCache) -> None:
    segmenter = cache.predictor.model
    case = cached_case(LABELS)
    samples = EmbeddingSamples(choose_slices([case], 0, 0), segmenter, cache)
    windows = segmenter.preprocessing.windows(40, 40)
    assert len(samples) == 3 * len(windows)
    assert case.label is not None
    for index, window in enumerate(windows):
        (embedding,), target = samples[index, 0]
        image = segmenter.preprocessing.input_of(case.image[0], window)
        with torch.inference_mode():
            expected = segmenter.encode(image[None])[0][0]
        torch.testing.assert_close(embedding, expected, rtol=2e-3, atol=2e-3)
        assert torch.equal(target, segmenter.preprocessing.target_of(case.label[0], window))
