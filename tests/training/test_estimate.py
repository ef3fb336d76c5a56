"""What an estimate promises: the work that training would do, measured; settings that fit, as flags of train."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samtailor.cli import main, parser_of
from samtailor.data.cache import SliceCache
from samtailor.data.dataset import open_dataset
from samtailor.errors import ConfigError, DataError
from samtailor.models.zoo import Base
from samtailor.recipes import RecipeName, recipe_from_json
from samtailor.reporting.amounts import in_bytes, in_time
from samtailor.training import measure as measuring
from samtailor.training.estimate_report import Estimate
from samtailor.training.estimation import estimate_training, flags_of
from samtailor.training.fit import Cases, load_cases, new_segmenter, prepare
from samtailor.training.measure import Measurement, Probe, measure
from samtailor.training.resolve import preprocessing_of, resolve
from samtailor.training.settings import AugmentConfig, SamplingConfig, TrainConfig
from tests import generate
from tests.tiny_base import WIDTH
from tests.training.configs import changed

Rule = Callable[[TrainConfig], bool]


@pytest.fixture(autouse=True)
def _one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One measured step is enough."""
    monkeypatch.setattr(measuring, "ENOUGH", 0.0)


def config_of(data: Path, recipe: RecipeName = "lora", image_size: int = 64) -> TrainConfig:
    return TrainConfig(
        data=str(data),
        out="never-written",
        base="tiny-sam",
        recipe=recipe_from_json({"name": recipe}),
        epochs=4,
        sampling=SamplingConfig(image_size=image_size),
        device="cpu",
    )


def measured_here(config: TrainConfig, scratch: Path) -> Estimate:
    """Estimate in this process, which knows the tiny base."""
    count = iter(range(100))
    return estimate_training(config, measure=lambda job, limit: measure(job, scratch / str(next(count))))


def test_what_frozen_blocks_give_is_measured_and_counted(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    still = AugmentConfig(affine=0, intensity=0)
    config = changed(config_of(nnunet_folder), last_blocks=1, cache_frozen=True, augment=still)
    given = measured_here(config, tmp_path).options[0]
    assert given.measured is not None
    # TinyViT before its last block: 16 channels at a quarter of the image side, in half precision.
    assert given.measured.embedding_bytes == 2 * 16 * 16 * 16
    assert given.measured.embedding_seconds > 0
    assert given.disk is not None
    assert given.disk % given.measured.embedding_bytes == 0


def by_rule(config: TrainConfig, suffices: Rule) -> Estimate:
    """Estimate for a machine on which memory suffices by a rule."""

    def by(job: Probe, limit: int) -> Measurement | None:
        found = Measurement("a rule", 2**20, 2**10, 2**10, None, None, 3, step_seconds=2.0, window_seconds=0.5)
        return found if suffices(job.config) else None

    return estimate_training(config, measure=by)


@pytest.mark.parametrize("recipe", ["lora", "adapter", "head-only", "full"])
def test_every_recipe_is_measured(recipe: RecipeName, tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = config_of(nnunet_folder, recipe)
    given, *others = (found := measured_here(config, tmp_path)).options
    assert given.flags == ""
    assert given.fits
    assert given.measured is not None
    assert given.seconds is not None
    assert given.measured.memory > given.measured.weights
    assert given.measured.step_seconds > 0
    assert given.seconds > config.epochs * given.steps_per_epoch * given.measured.step_seconds
    assert (given.measured.embedding_seconds > 0) == (recipe == "head-only") == bool(given.disk)
    flags = {option.flags for option in others}
    assert {"--batch_size 1 --optim.accumulate 4", "--sampling.image_size 32"} <= flags
    assert ("--checkpointing" in flags) == (recipe != "head-only")
    assert any("--last_blocks" in flag for flag in flags) == (recipe in ("lora", "adapter"))
    assert found.recommended is given
    assert "It fits" in str(found)
    assert json.loads(json.dumps(found.to_json()))["recommended"] == ""


def test_behind_a_projection_of_channels_no_embeddings_are_kept(tiny_base: Base, tmp_path: Path) -> None:
    data = generate.nnunet_folder(tmp_path / "data", channels=("CT", "PET"))
    config = config_of(data, "head-only", 32)
    given, *others = (found := measured_here(config, tmp_path / "scratch")).options
    assert given.measured is not None
    assert (given.measured.embedding_bytes, given.disk) == (0, 0)
    assert "--checkpointing" in {option.flags for option in others}
    assert "brings the 2 channels to the network's three" in str(found)
    assert "brings" not in str(by_rule(config_of(generate.nnunet_folder(tmp_path / "ct"), "head-only"), lambda _: True))


def test_slices_with_neighbours_are_measured_in_groups(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = changed(config_of(nnunet_folder, "adapter", 32), depth=True, batch_size=1, prompt_fraction=0.5)
    assert measured_here(config, tmp_path).options[0].fits


@pytest.mark.parametrize("recipe", ["lora", "head-only"])
@pytest.mark.parametrize("field", [None, 16])
def test_as_much_is_counted_as_training_computes(
    recipe: RecipeName, field: int | None, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    folder = open_dataset(nnunet_folder)
    config = resolve(config_of(nnunet_folder, recipe), folder)
    config = replace(config, sampling=replace(config.sampling, field=field))
    preprocessing = preprocessing_of(config, 1)
    cache = SliceCache(folder.labels, preprocessing)
    cases = Cases(*([cache.load(file) for file in folder.split(split)] for split in ("train", "val")))
    fitting = prepare(config, new_segmenter(config, folder.labels, 1), cases, tmp_path)
    found = by_rule(config, lambda _: True)
    assert found.options[0].steps_per_epoch == len(fitting.samples)
    (case,) = cases.validation
    assert found.workload.validation_windows == len(case.image) * len(preprocessing.windows(*case.image.shape[2:]))
    assert found.workload.training_cases == (4, 4)


@pytest.mark.parametrize("recipe", ["lora", "head-only"])
def test_corrupted_copies_are_counted(recipe: RecipeName, tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    folder = open_dataset(nnunet_folder)
    config = replace(config_of(nnunet_folder, recipe), augment=AugmentConfig(corrupt="blur,jpeg", copies=2))
    resolved = resolve(config, folder)
    fitting = prepare(
        resolved, new_segmenter(resolved, folder.labels, 1), load_cases(resolved, folder), tmp_path / "embeddings"
    )
    assert by_rule(config, lambda _: True).options[0].steps_per_epoch == len(fitting.samples)


def test_a_smaller_image_is_estimated_as_it_would_be_trained(tiny_base: Base, tmp_path: Path) -> None:
    """Its crops are smaller, too, and there are more of them."""
    data = generate.image_folder(tmp_path / "large", cases=6, size=(300, 300))
    given, *_, smaller = by_rule(config_of(data), lambda _: True).options
    assert smaller.flags == "--sampling.image_size 32"
    alone = by_rule(config_of(data, image_size=32), lambda _: True).options[0]
    assert (smaller.steps_per_epoch, smaller.seconds) == (alone.steps_per_epoch, alone.seconds)
    assert smaller.steps_per_epoch > 2 * given.steps_per_epoch


def test_many_cases_are_counted_in_part(tiny_base: Base, tmp_path: Path) -> None:
    config = config_of(generate.image_folder(tmp_path / "many", cases=30))
    found = by_rule(config, lambda _: True)
    assert found.workload.training_cases == (21, 8)
    assert found.workload.samples == 21
    assert "21 cases (8 of them counted)" in str(found)


def test_windows_of_large_pictures_are_measured_in_a_corner(tiny_base: Base, tmp_path: Path) -> None:
    data = generate.image_folder(tmp_path / "large", cases=4, size=(160, 200))
    config = config_of(data, "head-only", 32)
    config = replace(config, batch_size=2, sampling=replace(config.sampling, field=16))
    jobs: list[Probe] = []

    def look(job: Probe, limit: int) -> Measurement:
        jobs.append(job)
        return measure(job, tmp_path / str(len(jobs)))

    found = estimate_training(config, measure=look)
    assert jobs[0].train.image.shape[2:] == jobs[0].validation.image.shape[2:] == (32, 32)
    assert jobs[0].largest == (1, 160, 200)
    assert found.workload.validation_windows > 100


def test_the_whole_training_is_the_sum_of_its_parts(tiny_base: Base, nnunet_folder: Path) -> None:
    config = replace(config_of(nnunet_folder), epochs=5, validate_every=2)
    found = by_rule(config, lambda _: True)
    steps, windows = found.options[0].steps_per_epoch, found.workload.validation_windows
    assert found.options[0].seconds == 5 * steps * 2.0 + 2 * windows * 0.5
    tuned = by_rule(replace(config, tune_bias=True, tune_refinement=True), lambda _: True)
    assert tuned.options[0].seconds == found.options[0].seconds + 2 * windows * 0.5
    lengths = replace(config, sampling=replace(config.sampling, per_epoch=[16, 16, 12, 12, 4]))
    given = by_rule(lengths, lambda _: True).options[0]
    assert given.seconds == (60 / config.batch_size) * 2.0 + 2 * windows * 0.5


def test_the_epochs_of_the_head_are_measured_apart(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = replace(config_of(nnunet_folder), epochs=5, validate_every=2, head_epochs=3)
    jobs: list[Probe] = []

    def rule(job: Probe, limit: int) -> Measurement:
        jobs.append(job)
        head = job.config.head_epochs > 0
        kept = {"embedding_seconds": 0.25, "embedding_bytes": 100} if head else {}
        step, window = (0.5, 0.125) if head else (2.0, 0.5)
        return Measurement("a rule", 1, 1, 1, None, None, 3, step_seconds=step, window_seconds=window, **kept)

    found = estimate_training(config, measure=rule)
    given, work = found.options[0], found.workload
    kept = work.training_windows + work.validation_windows
    head = 0.25 * kept + 3 * given.steps_per_epoch * 0.5 + work.validation_windows * 0.125  # validated after 2, then 4
    assert given.seconds == head + 2 * given.steps_per_epoch * 2.0 + work.validation_windows * 0.5
    assert given.disk == 100 * kept
    first, second = (measure(job, tmp_path / str(i)) for i, job in enumerate(jobs[:2]))
    # Of the whole encoder, whose embedding has a fourth of the side.
    assert first.embedding_bytes == 2 * WIDTH * 16 * 16
    assert (second.embedding_bytes, second.embedding_seconds) == (0, 0)


def test_the_change_that_fits_and_changes_least_is_recommended(tiny_base: Base, nnunet_folder: Path) -> None:
    found = by_rule(config_of(nnunet_folder), lambda c: c.batch_size <= 2 or c.sampling.image_size == 32)
    assert found.recommended is not None
    assert found.recommended.flags == "--batch_size 2 --optim.accumulate 2"
    assert found.advice() == "It does not fit as it is; it fits with: --batch_size 2 --optim.accumulate 2"
    assert "too much" in str(found)
    assert "each of the smaller batches has a Dice of its own" in str(found)
    alone = by_rule(replace(config_of(nnunet_folder), batch_size=1), lambda _: True)
    assert "Dice of its own" not in str(alone)


def test_changes_are_combined_only_if_none_fits_alone(tiny_base: Base, nnunet_folder: Path) -> None:
    alone = by_rule(config_of(nnunet_folder), lambda c: c.checkpointing)
    assert len(alone.options) == 6
    both = by_rule(config_of(nnunet_folder), lambda c: c.checkpointing and c.batch_size == 1)
    assert len(both.options) == 7
    assert both.options[-1].fits
    assert both.options[-1].flags == "--batch_size 1 --checkpointing --optim.accumulate 4"


def test_where_nothing_fits_other_ways_are_named(tiny_base: Base, nnunet_folder: Path) -> None:
    found = by_rule(config_of(nnunet_folder), lambda _: False)
    assert found.recommended is None
    assert "--recipe head-only" in found.advice()
    assert "--recipe" not in by_rule(config_of(nnunet_folder, "head-only"), lambda _: False).advice()


def test_more_than_the_free_memory_does_not_fit(tiny_base: Base, nnunet_folder: Path) -> None:
    huge = Measurement("a rule", 2**60, 1, 1, None, None, 3, 1.0, 1.0)
    on_gpu = Measurement("a GPU", 2**20, 1, 1, 95, 100, 3, 1.0, 1.0)
    fitting = replace(on_gpu, gpu_memory=80)
    config = config_of(nnunet_folder)
    for found, fits in ((huge, False), (on_gpu, False), (fitting, True)):
        estimated = estimate_training(config, measure=lambda job, limit, found=found: found)  # type: ignore[misc]
        assert [option.fits for option in estimated.options[:6]] == [fits] * 6
    assert "GPU memory" in str(estimated)


def test_the_flags_are_those_of_train(tiny_base: Base, nnunet_folder: Path) -> None:
    seen: list[TrainConfig] = []
    by_rule(config_of(nnunet_folder), lambda c: bool(seen.append(c)))
    for option in seen:
        flags = flags_of(seen[0], option).split()
        config = TrainConfig(
            **parser_of("train").parse([str(nnunet_folder), "--out", "run", "--recipe", "lora", *flags]).settings
        )
        for name in ("batch_size", "checkpointing", "recipe"):
            assert getattr(config, name) == getattr(option, name)
        assert config.optim.accumulate == option.optim.accumulate


def test_estimate_stands_where_train_stood(tiny_base: Base) -> None:
    flags = ["data", "--out", "run", "--recipe", "adapter", "--optim.lr", "0.1", "--checkpointing"]
    train, estimate = (parser_of(name).parse(flags).settings for name in ("train", "estimate"))
    assert train == estimate


@pytest.mark.parametrize(
    "wrong",
    [{"base": "no-such"}, {"sampling": SamplingConfig(image_size=33)}],
    ids=["base", "size"],
)
def test_what_train_refuses_is_refused(wrong: dict[str, object], tiny_base: Base, nnunet_folder: Path) -> None:
    config = TrainConfig(**{**vars(config_of(nnunet_folder)), **wrong})
    with pytest.raises(ConfigError) as of_train:
        resolve(config, open_dataset(nnunet_folder))
    with pytest.raises(ConfigError) as of_estimate:
        by_rule(config, lambda _: True)
    assert str(of_estimate.value) == str(of_train.value)


def test_data_without_foreground_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    data = generate.image_folder(tmp_path / "bare", cases=5)
    for mask in (data / "masks").iterdir():
        generate.Image.fromarray(generate.np.zeros((40, 48), "uint8")).save(mask)
    with pytest.raises(DataError, match="labelled pixels"):
        by_rule(config_of(data), lambda _: True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([in_bytes(n) for n in (2048, 830 << 20, 5 << 29)], ["2 KiB", "830 MiB", "2.5 GiB"]),
        ([in_time(s) for s in (0.0451, 2.13, 840, 11100)], ["45 ms", "2.1 s", "14 min", "3 h 05 min"]),
    ],
)
def test_numbers_are_said_in_words(words: list[str], expected: list[str]) -> None:
    assert words == expected


@pytest.mark.weights
def test_the_command_measures_apart_and_prints_json(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--recipe", "head-only", "--batch_size", "1", "--sampling.image_size", "32", "--epochs", "1"]
    assert main(["estimate", str(image_folder), *flags, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["options"][0]["fits"]
    assert content["options"][0]["measured"]["memory"] > 100e6
    assert content["workload"]["samples"] > 0
    assert content["advice"] == "It fits: train with these settings."
