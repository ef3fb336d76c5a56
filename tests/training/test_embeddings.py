"""Cached embeddings: computed once, the encoder's own, rebuilt when broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, HeadOnly, LoRA
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


def test_each_preprocessing_has_entries_of_its_own(tiny_base: Base, tmp_path: Path) -> None:
    case = cached_case(LABELS)
    plain = Preprocessing(Range(), 32, 24, 1)
    for preprocessing in (plain, replace(plain, steps=(GaussianDenoising(),)), plain):
        segmenter = SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, preprocessing)
        EmbeddingCache(Predictor(segmenter, 4, "cpu"), tmp_path).load(case, case_windows(case, segmenter))
    assert len(list(tmp_path.glob("*.npy"))) == 2


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
