"""Training on corrupted copies: which cases have them, what they are made of, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samtailor.data.cache import CachedCase
from samtailor.data.dataset import open_dataset
from samtailor.models.zoo import Base
from samtailor.training import fit
from samtailor.training.fit import Cases, fingerprint_of, load_cases
from samtailor.training.judgement import Judged
from samtailor.training.resolve import resolve
from samtailor.training.settings import AugmentConfig, TrainConfig
from samtailor.training.train import train
from tests.training.test_train import config_of, rows_of


def cases_of(config: TrainConfig, augment: AugmentConfig) -> tuple[Cases, str]:
    """Cached cases of a training, and the fingerprint of its data."""
    folder = open_dataset(Path(config.data))
    config = resolve(replace(config, augment=augment), folder)
    cases = load_cases(config, folder)
    return cases, fingerprint_of(folder, cases)


@pytest.fixture
def config(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> TrainConfig:
    return config_of(nnunet_folder, tmp_path / "run", epochs=1)


def image(case: CachedCase) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return case.image.astype(np.float32)


def test_each_training_case_has_copies_and_no_other_case(config: TrainConfig) -> None:
    clean, _ = cases_of(config, AugmentConfig())
    corrupted, _ = cases_of(config, AugmentConfig(corrupt="gaussian,blur", copies=3))
    assert len(corrupted.train) == 4 * len(clean.train)
    assert len({case.name for case in corrupted.train}) == len(corrupted.train)  # embeddings are kept by names
    assert [case.key for case in corrupted.validation] == [case.key for case in clean.validation]
    for place, case in enumerate(corrupted.train):
        original = clean.train[place % 4]
        np.testing.assert_array_equal(case.label, original.label)
        np.testing.assert_array_equal(case.counts, original.counts)
        assert (case.key == original.key) == (place < 4)
        changed = (image(case) != image(original)).any(axis=(1, 2, 3))
        assert changed.all() == changed.any() == (place >= 4)


def test_copies_differ_and_so_do_the_slices_of_one(config: TrainConfig) -> None:
    clean, _ = cases_of(config, AugmentConfig())
    corrupted, _ = cases_of(config, AugmentConfig(corrupt="gaussian", copies=2))
    changes = [image(copy) - image(clean.train[place % 4]) for place, copy in enumerate(corrupted.train[4:])]
    assert (changes[0] != changes[4]).any()
    deviations = [float(plane.std()) for change in changes for plane in change]
    assert max(deviations) > 3 * min(deviations)  # of severities 1 and 5


def test_the_seed_the_corruptions_and_their_number_make_other_data(config: TrainConfig) -> None:
    how = AugmentConfig(corrupt="gaussian,blur", copies=1)
    prints = [cases_of(config, augment)[1] for augment in (AugmentConfig(), AugmentConfig(copies=7), how)]
    assert prints[0] == prints[1] != prints[2]
    assert prints[2] == cases_of(config, how)[1]
    prints += [cases_of(replace(config, seed=1), how)[1], cases_of(config, replace(how, copies=2))[1]]
    prints += [cases_of(config, replace(how, corrupt="blur"))[1]]
    assert len(set(prints)) == 5


def test_a_run_says_which_corruptions_it_was_trained_on_and_repeats(
    config: TrainConfig, tmp_path: Path, image_folder: Path
) -> None:
    config = replace(config, data=str(image_folder), augment=AugmentConfig(corrupt="auto", copies=1))
    run = train(**vars(config))
    written = run.read_config()["augment"]
    assert written["corrupt"] == "gaussian,poisson,speckle,salt-and-pepper,blur,contrast,jpeg"
    assert written["copies"] == 1
    again = train(**vars(TrainConfig.from_plain({**run.read_config(), "out": str(tmp_path / "again")}, "test")))
    assert rows_of(again) == rows_of(run)
    clean = train(**vars(replace(config, out=str(tmp_path / "clean"), augment=AugmentConfig())))
    assert rows_of(clean) != rows_of(run)


def test_copies_are_no_further_cases_that_show_a_class(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[int]] = []

    def judged(config: TrainConfig, rows: Any, names: Any, shares: Any, having: Any, *rest: Any) -> Judged:
        shown.append(having.tolist())
        return Judged(config, rows, names, shares, having, *rest)

    monkeypatch.setattr(fit, "Judged", judged)
    train(**vars(replace(config, augment=AugmentConfig(corrupt="gaussian", copies=2))))
    assert shown == [[4, 4, 4]]
