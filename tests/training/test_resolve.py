"""What 'auto' becomes, and which settings are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import samtailor.training.resolve as resolving
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.errors import ConfigError
from samtailor.recipes import RecipeName
from samtailor.settings import IntensityConfig
from samtailor.training.resolve import preprocessing_of, resolve, scheduled
from samtailor.training.settings import AugmentConfig, LossConfig, OptimConfig, SamplingConfig, TrainConfig
from tests.training.configs import changed

CONFIG = TrainConfig(data="data", out="out")


@pytest.fixture
def volumes(nnunet_folder: Path) -> Dataset:
    return open_dataset(nnunet_folder)


@pytest.fixture
def pictures(image_folder: Path) -> Dataset:
    return open_dataset(image_folder)


def test_ct_gets_the_ct_window(volumes: Dataset) -> None:
    assert resolve(CONFIG, volumes).intensity == IntensityConfig("window", (40.0, 400.0))


def test_other_volumes_get_percentiles(volumes: Dataset) -> None:
    assert resolve(CONFIG, replace(volumes, channels=("MR",))).intensity == IntensityConfig("percentile", (0.5, 99.5))


def test_pictures_of_8_bit_get_their_range_and_of_16_bit_percentiles(pictures: Dataset) -> None:
    assert resolve(CONFIG, pictures).intensity == IntensityConfig("range", (0.0, 255.0))
    assert resolve(CONFIG, replace(pictures, bits=16)).intensity.kind == "percentile"


def test_nothing_is_cached_behind_a_projection(volumes: Dataset) -> None:
    config = changed(CONFIG, cache_frozen=True, last_blocks=1, augment=AugmentConfig("none", affine=0, intensity=0))
    resolve(config, volumes)
    with pytest.raises(ConfigError, match=r"^cache_frozen: expected images of one or three channels, found 2 \(A, B\)"):
        resolve(config, replace(volumes, channels=("A", "B")))
    head_only = changed(CONFIG, recipe="head-only")
    assert [head_only.is_cached(channels) for channels in (1, 2, 3, 4)] == [True, False, True, False]
    assert not CONFIG.is_cached(1)


def test_a_loss_without_fine_features_needs_them_and_no_prompts(volumes: Dataset) -> None:
    config = replace(CONFIG, loss=LossConfig(coarse=0.4))
    with pytest.raises(ConfigError, match=r"^loss\.coarse: expected --fine_features, found 0\.4 without"):
        resolve(config, volumes)
    resolve(replace(config, fine_features=True), volumes)
    for prompts in ({"prompt_fraction": 0.5}, {"prompts": "outline"}):
        with pytest.raises(ConfigError, match=r"^loss\.coarse: expected a training without prompts, found 0\.\d+ of"):
            resolve(changed(config, fine_features=True, **prompts), volumes)


def test_what_the_user_set_stays(volumes: Dataset) -> None:
    config = replace(CONFIG, intensity=IntensityConfig("window", (50, 350)))
    assert resolve(config, volumes).intensity == IntensityConfig("window", (50, 350))


def test_only_volumes_of_one_channel_have_neighbours(volumes: Dataset, pictures: Dataset) -> None:
    config = replace(CONFIG, sampling=replace(CONFIG.sampling, neighbours=True))
    assert preprocessing_of(resolve(config, volumes), 1).neighbours
    for dataset in (pictures, replace(volumes, channels=("A", "B"))):
        with pytest.raises(ConfigError, match=r"sampling.neighbours: expected volumes of one channel; found"):
            resolve(config, dataset)


def test_volumes_are_never_flipped_unasked(volumes: Dataset, pictures: Dataset) -> None:
    assert resolve(CONFIG, volumes).augment.flip == "none"
    assert resolve(CONFIG, pictures).augment.flip == "columns"
    assert resolve(CONFIG, replace(pictures, name="gid5")).augment.flip == "both"  # seen from above


def test_images_are_turned_a_little_unless_set(volumes: Dataset, pictures: Dataset) -> None:
    assert resolve(CONFIG, volumes).augment.rotate == resolve(CONFIG, pictures).augment.rotate == 15
    assert resolve(replace(CONFIG, augment=AugmentConfig(rotate=90)), pictures).augment.rotate == 90


def test_no_crop_is_wide_unless_set(volumes: Dataset, pictures: Dataset) -> None:
    assert resolve(CONFIG, volumes).sampling.wide == resolve(CONFIG, pictures).sampling.wide == 0
    assert resolve(replace(CONFIG, sampling=replace(CONFIG.sampling, wide=0.5)), pictures).sampling.wide == 0.5


def test_predictions_are_averaged_over_the_training_s_flips_where_that_is_asked_for(
    volumes: Dataset, pictures: Dataset
) -> None:
    assert resolve(CONFIG, pictures).tta == "none"
    chosen = replace(CONFIG, tta="auto")
    assert [resolve(chosen, dataset).tta for dataset in (volumes, pictures)] == ["none", "columns"]
    assert resolve(replace(CONFIG, tta="both"), volumes).tta == "both"


@pytest.mark.parametrize(("recipe", "lr"), [("lora", 1e-3), ("adapter", 1e-3), ("head-only", 3e-4), ("full", 1e-4)])
def test_each_recipe_has_its_own_learning_rate_unless_set(recipe: RecipeName, lr: float, volumes: Dataset) -> None:
    assert resolve(changed(CONFIG, recipe=recipe), volumes).optim.lr == lr
    assert resolve(changed(CONFIG, recipe=recipe, optim=OptimConfig(lr=5e-5)), volumes).optim.lr == 5e-5


def test_corruptions_are_those_of_the_modality_by_name(volumes: Dataset, pictures: Dataset) -> None:
    def resolved(setting: str, dataset: Dataset) -> str:
        return resolve(replace(CONFIG, augment=AugmentConfig(corrupt=setting)), dataset).augment.corrupt

    assert resolved("auto", volumes).endswith(",jpeg,low-dose,streaks,ring")
    assert resolved("auto", pictures).endswith(",jpeg")
    assert resolved("stripes, blur", volumes) == "stripes,blur"
    assert resolved("none", volumes) == "none"
    assert resolved(resolved("auto", volumes), volumes) == resolved("auto", volumes)


def test_the_image_size_is_the_base_s_own_unless_set(volumes: Dataset) -> None:
    assert resolve(CONFIG, volumes).sampling.image_size == 256


@pytest.mark.parametrize("setting", ["denoise", "refine"])
def test_an_unknown_step_is_refused_at_once(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting}: expected one of .*; found 'magic'"):
        replace(CONFIG, **{setting: "magic"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(CONFIG, sampling=SamplingConfig(image_size=130)), "multiple of 4"),
        (replace(CONFIG, loss=LossConfig(class_weights=[1, 2])), "one weight for each of the 3 classes"),
        (replace(CONFIG, epochs=3, sampling=SamplingConfig(32, per_epoch=[4, 8])), "each of the 3 epochs; found 2"),
        (replace(CONFIG, intensity=IntensityConfig("range", (9, 1))), "expected low < high"),
        (replace(CONFIG, intensity=IntensityConfig("window", (40, 0))), "expected a width above 0"),
        (replace(CONFIG, augment=AugmentConfig(corrupt="fog")), "augment.corrupt: expected .*; found 'fog'"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(config: TrainConfig, message: str, volumes: Dataset) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(config, volumes)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 20},
        {"time": "5m"},
        {"head_epochs": 2},
        {"validate_every": 2},
        {"sampling": SamplingConfig(per_epoch=100)},
    ],
    ids=str,
)
def test_a_schedule_of_one_s_own_is_left_alone(settings: dict[str, Any]) -> None:
    config = changed(CONFIG, device="cpu", **settings)
    assert scheduled(config) == config


def test_without_a_schedule_a_cpu_trains_for_half_an_hour_and_a_gpu_for_twenty_epochs(
    volumes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(CONFIG, device="cpu", patience=3, batch_size=2)
    assert scheduled(config) == replace(config, time="30m")
    monkeypatch.setattr(resolving, "choose_device", lambda _: torch.device("cuda"))
    assert scheduled(config) == config
    assert resolve(config, volumes).epochs == 20
