"""A training is laid out so that it ends in time, from what its steps take here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import samtailor.training.planning as planning
from samtailor.data.cache import SliceCache
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.errors import ConfigError
from samtailor.models.zoo import Base
from samtailor.settings import TestTimeFlip
from samtailor.training.estimate_report import Workload
from samtailor.training.estimation import Phase, estimate_training
from samtailor.training.measure import Measurement, Probe
from samtailor.training.planning import EPOCHS, ONCE, TUNED, USED, VALIDATED, Timetable, planned
from samtailor.training.settings import AugmentConfig, LossConfig, SamplingConfig, TrainConfig, seconds_in
from samtailor.training.train import resume, train
from tests import generate
from tests.training.configs import changed
from tests.training.test_train import config_of, rows_of


def measurement(step: float, window: float = 0.0, embedding: float = 0.0) -> Measurement:
    return Measurement("a rule", 1, 1, 1, None, None, 3, step, window, embedding)


def by_area(step: float, seen: list[int] | None = None, window: float = 0.0) -> Callable[[Probe, int], Measurement]:
    """Steps, and windows of a validation, that take so many seconds at 64 pixels; steps of the head a tenth."""

    def measure(job: Probe, limit: int) -> Measurement:
        side = job.config.sampling.image_size
        assert side is not None
        if seen is not None:
            seen.append(side)
        share, area = 0.1 if job.config.head_epochs else 1.0, (side / 64) ** 2
        return measurement(step * share * area, window=window * area or 0.001)

    return measure


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("0.5H", 1800), (" 1m30s ", 90)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "5 minutes", "0s", "30m2h", "nan s", "1e9s"])
def test_what_is_no_time_is_refused(text: str, nnunet_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"time: expected .* such as 2h, 45m, 1h30m or 90s; found"):
        TrainConfig(data=nnunet_folder, out="run", time=text)


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 3}, {"head_epochs": 1}, {"validate_every": 2}, {"sampling": SamplingConfig(per_epoch=40)}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_time_goes_with_no_schedule(settings: dict[str, Any], nnunet_folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"time: expected without (epochs|head_epochs|validate_every|sampling\.per_epoch),"
    ):
        TrainConfig(data=nnunet_folder, out="run", time="10m", **settings)


@pytest.mark.parametrize("seconds", [60, 1800, 7200])
@pytest.mark.parametrize("validation", [0.01, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("with_head", [False, True])
def test_the_time_is_used_and_not_exceeded(seconds: float, validation: float, with_head: bool) -> None:
    config = TrainConfig(data="", out="", batch_size=4, head_epochs=int(with_head))
    work = Workload((1, 1), (1, 1), 1, training_windows=200, validation_windows=100, largest=(1, 1, 1))
    phases = (Phase(range(1), measurement(0.5, validation / 100), 4, work),)
    if with_head:
        phases = (Phase(range(1), measurement(0.05, validation / 200, 0.01), 4, work), *phases)
    plan = Timetable(config, phases, time.monotonic() + seconds, seconds)
    if validation > ONCE * USED * seconds:
        with pytest.raises(ConfigError, match=r"time: expected at least \d+ min, .*; found 1 min; give more") as told:
            plan.laid_out()
        least = 60 * int(str(told.value).split()[4])
        Timetable(config, phases, time.monotonic() + 1.1 * least, least).laid_out()
        with pytest.raises(ConfigError):
            Timetable(config, phases, time.monotonic() + 0.9 * least, least).laid_out()
        return
    found = plan.laid_out()
    per_epoch = found.sampling.per_epoch
    assert per_epoch is not None
    assert per_epoch % 4 == 0
    assert found.epochs % found.validate_every == 0
    assert (found.head_epochs > 0) == with_head
    steps = [phases[0 if epoch < found.head_epochs else -1].training(per_epoch) for epoch in range(found.epochs)]
    validated = [
        phases[0 if epoch <= found.head_epochs else -1].validating
        for epoch in range(found.validate_every, found.epochs + 1, found.validate_every)
    ]
    whole = sum(steps) + sum(validated) + phases[0].preparing
    if validation > VALIDATED * USED * seconds:
        assert len(validated) == 1
    else:
        assert sum(validated) <= VALIDATED * USED * seconds
    left_over = (EPOCHS + found.head_epochs) * 0.5 + 1  # less than a step of every epoch
    assert USED * seconds - left_over <= whole <= USED * seconds


@pytest.mark.parametrize(("seconds", "found", "wanted"), [(240, "4 min", "5 min"), (90, "2 min", "3 min")])
def test_a_time_that_is_hardly_too_short_is_told_from_what_is_needed(seconds: float, found: str, wanted: str) -> None:
    work = Workload((1, 1), (1, 1), 1, training_windows=200, validation_windows=100, largest=(1, 1, 1))
    validation = 1.01 * ONCE * USED * seconds  # a single one may take half of the time
    phases = (Phase(range(1), measurement(1e-6, validation / 100), 4, work),)
    plan = Timetable(TrainConfig(data="", out="", batch_size=4), phases, time.monotonic() + seconds, seconds)
    with pytest.raises(ConfigError, match=f"time: expected at least {wanted}, .*; found {found};"):
        plan.laid_out()


def test_images_are_as_large_as_there_is_time_for(
    tiny_base: Base, nnunet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_dataset(nnunet_folder).with_default_split()  # slices of 32 x 24 pixels
    config = replace(config_of(nnunet_folder, Path("run")), epochs=None, time="10m")
    open_size = replace(config, sampling=replace(config.sampling, image_size=None))
    monkeypatch.setattr(planning, "find_base", lambda _: replace(tiny_base, image_size=128))
    assert planned(open_size, folder, time.monotonic(), by_area(0.1)).config.sampling.image_size == 32
    large = open_dataset(
        generate.image_folder(nnunet_folder / "pictures", cases=6, size=(128, 96))
    ).with_default_split()
    sizes = {}
    for step in (1e-3, 0.5, 10.0):
        tried: list[int] = []
        sizes[step] = planned(open_size, large, time.monotonic(), by_area(step, tried)).config.sampling.image_size
        assert len(set(tried)) <= 3  # measuring takes time as well
    assert sizes == {1e-3: 128, 0.5: 64, 10.0: 32}
    longer = (replace(open_size, time=given) for given in ("20m", "80m"))
    plans = [planned(config, large, time.monotonic(), by_area(0.5)) for config in longer]
    assert [plan.config.sampling.image_size for plan in plans] == [64, 128]  # eight times 10m: twice the side
    assert planned(config, large, time.monotonic(), by_area(10.0)).config.sampling.image_size == 32  # as the user says


def test_images_are_smaller_where_validations_would_take_the_time(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "find_base", lambda _: replace(tiny_base, image_size=128))
    folder = open_dataset(generate.image_folder(tmp_path / "pictures", cases=6, size=(128, 96))).with_default_split()
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m")
    config = replace(config, sampling=replace(config.sampling, image_size=None))
    plan = planned(config, folder, time.monotonic(), by_area(1e-3, window=0.35 * 600 * VALIDATED))
    assert plan.config.sampling.image_size == 64
    plan.laid_out()
    tried: list[int] = []
    planned(config, folder, time.monotonic(), by_area(10.0, tried, window=0.35 * 600 * VALIDATED))
    assert sorted(set(tried)) == [32, 128]  # nor are sizes measured between, for which steps take too long
    hopeless = planned(config, folder, time.monotonic(), by_area(1e-3, window=1000.0))
    with pytest.raises(ConfigError, match="give more time"):
        hopeless.laid_out()


@pytest.mark.parametrize(("side", "scale"), [(None, 1.0), (5.0, 1.0), (24.0, 1.5), (100.0, 2.0)])
def test_pictures_are_shrunk_as_far_as_their_objects_allow(
    side: float | None, scale: float, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "object_side", lambda _: side)
    folder = open_dataset(generate.image_folder(tmp_path / "pictures", cases=6, size=(128, 96))).with_default_split()
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m")

    def field(image_size: int, asked: Any = "auto") -> int | None:
        sampling = replace(config.sampling, image_size=image_size, field=asked)
        plan = planned(replace(config, sampling=sampling), folder, time.monotonic(), by_area(0.01))
        found = plan.config.sampling.field
        assert found != "auto"
        return found

    assert field(32) == scale * 32
    assert field(96) == (96 if scale == 1 else None)  # the whole picture
    assert field(32, asked=40) == 40
    assert field(32, asked=None) is None


def with_objects_of(side: int, root: Path) -> Dataset:
    """Pictures of 128 x 96 pixels with one square object each."""
    generate.image_folder(root, cases=6, size=(128, 96))
    for file in (root / "masks").iterdir():
        mask = np.zeros_like(np.asarray(Image.open(file)))
        mask[:side, :side] = 1
        Image.fromarray(mask).save(file)
    return open_dataset(root).with_default_split()


@pytest.mark.parametrize(("side", "asked", "rare"), [(8, "auto", 0.4), (16, "auto", 0.7), (8, 0.7, 0.7)])
def test_more_of_the_background_is_seen_where_it_is_nearly_everything(
    side: int, asked: Any, rare: float, tiny_base: Base, tmp_path: Path
) -> None:
    folder = with_objects_of(side, tmp_path / "pictures")  # 0.5 % of the pixels, or 2 %
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m")

    def found(**sampling: Any) -> Any:
        asked_for = replace(config.sampling, image_size=32, rare=asked, **sampling)
        plan = planned(replace(config, sampling=asked_for), folder, time.monotonic(), by_area(0.01))
        return plan.config.sampling.rare

    assert found(field="auto") == found(field=40) == rare
    assert found(field=None) == 0.7  # whole pictures


def test_some_crops_of_it_show_twice_as_much(tiny_base: Base, tmp_path: Path) -> None:
    bare, full = (with_objects_of(side, tmp_path / str(side)) for side in (8, 16))

    def found(folder: Dataset, **asked: Any) -> Any:
        config = config_of(folder.root, Path("run"))
        config = replace(
            config, epochs=None, time="10m", sampling=replace(config.sampling, image_size=32, field="auto")
        )
        config = replace(config, sampling=replace(config.sampling, **asked))
        return planned(config, folder, time.monotonic(), by_area(0.01)).config.sampling.wide

    assert found(bare) == found(bare, field=40) == 0.3
    assert found(full) == found(bare, field=None) == found(bare, wide=0.0) == 0
    assert found(full, wide=0.5) == found(bare, wide=0.5) == 0.5


def test_it_is_turned_any_way_unless_the_user_has_said_how(tiny_base: Base, tmp_path: Path) -> None:
    bare, full = (with_objects_of(side, tmp_path / str(side)) for side in (8, 16))

    def found(folder: Dataset, field: Any = "auto", **augment: Any) -> tuple[Any, Any, Any]:
        config = config_of(folder.root, Path("run"))
        sampling = replace(config.sampling, image_size=32, field=field)
        config = replace(config, epochs=None, time="10m", sampling=sampling, augment=AugmentConfig(**augment))
        plan = planned(config, folder, time.monotonic(), by_area(0.01)).config
        return plan.augment.flip, plan.augment.rotate, plan.tta

    assert found(bare) == found(bare, field=40) == ("both", 180, "both")
    assert found(bare, field=None) == found(full) == ("columns", 15, "columns")
    assert found(bare, flip="columns") == ("columns", 15, "columns")  # up and down matter
    assert found(bare, flip="both", rotate=90) == ("both", 90, "both")
    assert found(bare, rotate=15) == ("both", 15, "both")


def test_slices_of_volumes_are_not_turned_any_way(
    tiny_base: Base, nnunet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning._Trials, "is_bare", True)
    config = config_of(nnunet_folder, Path("run"))
    config = replace(config, epochs=None, time="10m", sampling=replace(config.sampling, field=16))
    plan = planned(config, open_dataset(nnunet_folder).with_default_split(), time.monotonic(), by_area(0.01)).config
    assert (plan.sampling.rare, plan.augment.flip, plan.augment.rotate) == (0.4, "none", 15)
    assert plan.sampling.wide == 0


def test_views_from_above_are_seen_in_crops_that_are_not_enlarged(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "object_side", lambda _: 100.0)
    monkeypatch.setattr(planning, "find_base", lambda _: replace(tiny_base, image_size=512))
    folder = open_dataset(generate.image_folder(tmp_path / "pictures", cases=6, size=(128, 96))).with_default_split()
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m", sampling=SamplingConfig())

    def seen(from_above: bool, step: float, **sampling: Any) -> tuple[int | None, Any]:
        monkeypatch.setattr(Dataset, "seen_from_above", from_above)
        asked = replace(config, sampling=replace(config.sampling, **sampling))
        found = planned(asked, folder, time.monotonic(), by_area(step)).config.sampling
        return found.image_size, found.field

    assert seen(True, 1e-3) == (96, 96)  # three quarters of 128
    assert seen(True, 1.0) == (48, 96)
    assert seen(True, 10.0) == (32, 64)
    assert seen(False, 1e-3) == (128, None)
    assert seen(True, 1e-3, field=None) == (128, None)
    assert seen(True, 1e-3, image_size=128) == (128, None)
    assert seen(True, 1e-3, image_size=64) == (64, 96)


@pytest.mark.parametrize("asked", [None, "none", "auto", [0.5, 2, 1]])
def test_classes_of_land_cover_are_weighed(
    asked: Any, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = generate.image_folder(tmp_path / "pictures", cases=6, size=(64, 64))
    config = replace(
        config_of(root, Path("run")), epochs=None, time="10m", loss=LossConfig(ce=0.4, class_weights=asked)
    )

    def weights(from_above: bool) -> Any:
        monkeypatch.setattr(Dataset, "seen_from_above", from_above)
        folder = open_dataset(root).with_default_split()
        found = planned(config, folder, time.monotonic(), by_area(0.01)).config.loss
        assert replace(found, class_weights=asked) == config.loss
        return found.class_weights

    assert weights(from_above=True) == (asked or "auto")
    assert weights(from_above=False) == asked
    if isinstance(asked, list):
        return
    for mask in (root / "masks").iterdir():
        with Image.open(mask) as image:
            Image.fromarray((np.asarray(image) > 0).astype(np.uint8)).save(mask)
    generate.write_json(root / "dataset.json", {"classes": ["background", "field"]})
    assert weights(from_above=True) == asked  # a single class has a threshold


@pytest.mark.parametrize(("seconds", "begins"), [(0.6, 0), (1.2, 1)])  # time for about 2,900 and 1,450 samples
def test_the_head_comes_first_where_the_encoder_sees_little(
    seconds: float, begins: int, tiny_base: Base, nnunet_folder: Path, image_folder: Path
) -> None:
    def head_epochs(root: Path) -> int:
        config = changed(config_of(root, Path("run")), epochs=None, time="10m", batch_size=4)
        folder = open_dataset(root).with_default_split()
        return planned(config, folder, time.monotonic(), by_area(4 * seconds)).config.head_epochs  # at 32 pixels

    assert head_epochs(nnunet_folder) == begins
    assert head_epochs(image_folder) == 0


def test_slices_of_volumes_are_seen_whole(
    tiny_base: Base, nnunet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "object_side", lambda _: 5.0)
    folder = open_dataset(nnunet_folder).with_default_split()
    plan = planned(
        replace(config_of(nnunet_folder, Path("run")), epochs=None, time="10m"), folder, time.monotonic(), by_area(0.01)
    )
    assert plan.config.sampling.field is None


def test_a_single_class_gets_a_threshold(tiny_base: Base, tmp_path: Path) -> None:
    root = generate.image_folder(tmp_path / "pictures", cases=6, size=(64, 64))

    def is_tuned(**settings: Any) -> bool:
        config = replace(config_of(root, Path("run")), epochs=None, time="10m", **settings)
        folder = open_dataset(root).with_default_split()
        plan = planned(config, folder, time.monotonic(), by_area(0.01))
        return plan.config.tune_bias

    assert not is_tuned()
    assert is_tuned(tune_bias=True)
    for mask in (root / "masks").iterdir():
        with Image.open(mask) as image:
            Image.fromarray((np.asarray(image) > 0).astype(np.uint8)).save(mask)
    generate.write_json(root / "dataset.json", {"classes": ["background", "field"]})
    assert is_tuned()
    assert not is_tuned(refine="largest-component")


def test_only_of_volumes_is_it_asked_whether_largest_components_gain(
    tiny_base: Base, image_folder: Path, nnunet_folder: Path
) -> None:
    def is_tuned(root: Path, **settings: Any) -> bool:
        config = replace(config_of(root, Path("run")), epochs=None, time="10m", **settings)
        folder = open_dataset(root).with_default_split()
        return planned(config, folder, time.monotonic(), by_area(0.01)).config.tune_refinement

    assert is_tuned(nnunet_folder)
    assert not is_tuned(nnunet_folder, refine="fill-holes")
    assert not is_tuned(image_folder)
    assert is_tuned(image_folder, tune_refinement=True)


@pytest.mark.parametrize(
    ("tta", "field", "looks"), [("none", 8, 1), ("columns", 8, 2), ("both", 8, 4), ("both", None, 4)]
)
@pytest.mark.parametrize("wide", [0.0, 0.3])
def test_time_is_kept_for_tuning_the_threshold(tta: TestTimeFlip, field: int | None, looks: int, wide: float) -> None:
    work = Workload((1, 1), (1, 1), 1, training_windows=200, validation_windows=100, largest=(1, 1, 1))
    phases = (Phase(range(1), measurement(0.5, 0.1), 4, work),)
    config = TrainConfig(data="", out="", tta=tta, epochs=2, sampling=SamplingConfig(field=field, wide=wide))
    looks += bool(field and wide)
    until = time.monotonic() + 600
    without, tuned = (Timetable(replace(config, tune_bias=on), phases, until, 600).left for on in (False, True))
    assert without - tuned == pytest.approx(looks * 10, abs=1)


@pytest.mark.parametrize(("window", "is_tuned"), [(1.0, True), (60.0, False)])
def test_nothing_is_tuned_where_that_would_take_the_training_its_time(
    window: float, is_tuned: bool, tiny_base: Base, nnunet_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "samtailor")
    folder = open_dataset(nnunet_folder).with_default_split()
    config = replace(config_of(nnunet_folder, Path("run")), epochs=None, time="30m")
    windows = planned(config, folder, time.monotonic(), by_area(1e-3)).phases[-1].workload.validation_windows
    measure = by_area(1e-3, window=window / windows * 64**2 / 32**2 * 10)
    found = planned(config, folder, time.monotonic(), measure)
    assert found.tuning <= TUNED * USED * 1800
    assert found.config.tune_refinement == is_tuned
    assert ("samtailor tune-refinement run" in caplog.text) != is_tuned
    assert "Measuring steps at 32 pixels" in caplog.text
    asked = replace(config, tune_refinement=True)
    assert planned(asked, folder, time.monotonic(), measure).config.tune_refinement


def test_what_memory_does_not_hold_is_made_smaller_or_refused(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_dataset(generate.image_folder(tmp_path / "pictures", cases=6, size=(128, 96))).with_default_split()
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m")
    config = replace(config, sampling=replace(config.sampling, image_size=None))

    def small_only(job: Probe, limit: int) -> Measurement | None:
        return None if (job.config.sampling.image_size or 0) > 32 else by_area(0.01)(job, limit)

    assert planned(config, folder, time.monotonic(), small_only).config.sampling.image_size == 32
    with pytest.raises(ConfigError, match=r"time: expected memory for a step at 32 pixels, found .* GB free; take"):
        planned(config, folder, time.monotonic(), lambda *_: None)
    monkeypatch.setattr(planning, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2_000_000_000, 4_000_000_000))
    with pytest.raises(ConfigError, match=r"found 1\.8 GB free on the GPU, [\d.]+ GB free beside it; take"):
        planned(config, folder, time.monotonic(), lambda *_: None)


@pytest.mark.parametrize(("share", "expected"), [(0.6, "bf16"), (0.95, "32"), (30.0, "32"), (None, "32")])
def test_bfloat16_is_taken_where_it_is_faster(
    share: float | None, expected: str, tiny_base: Base, nnunet_folder: Path
) -> None:
    folder = open_dataset(nnunet_folder).with_default_split()
    config = replace(config_of(nnunet_folder, Path("run")), epochs=None, time="10m", device="cpu")

    def measure(job: Probe, limit: int) -> Measurement | None:
        found = by_area(0.1)(job, limit)
        if job.config.precision != "bf16":
            return found
        return None if share is None else replace(found, step_seconds=share * found.step_seconds)

    plan = planned(config, folder, time.monotonic(), measure)
    assert plan.config.precision == expected
    assert plan.phases[-1].measured.step_seconds == pytest.approx(0.1 / 4 * (0.6 if expected == "bf16" else 1))
    asked = planned(replace(config, precision="32"), folder, time.monotonic(), measure)
    assert asked.config.precision == "32"


def test_folds_share_what_measuring_leaves_of_the_time(
    tiny_base: Base, nnunet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_dataset(nnunet_folder).with_default_split()
    config = replace(config_of(nnunet_folder, Path("run")), epochs=None, time="10m")
    begin = now = time.monotonic()

    def measure(job: Probe, limit: int) -> Measurement:
        nonlocal now
        now += 60
        return by_area(0.01)(job, limit)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    plan = planned(config, folder, begin, measure, runs=4)
    assert now > begin
    assert plan.until - now == pytest.approx((600 - (now - begin)) / 4)
    assert plan.deadline.end - now == pytest.approx(plan.until - now - (1 - USED) * 150)
    slow = planned(config, folder, now, by_area(1e4), runs=4)
    with pytest.raises(
        ConfigError, match=r"time: expected at least \d+ h.*; found 10 min; give more time.*end other programs"
    ):
        slow.laid_out()


@pytest.mark.parametrize("recipe", ["lora", "head-only"])
def test_what_was_chosen_repeats_without_measuring(
    recipe: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(config: TrainConfig, folder: Any, began: float, runs: int) -> Timetable:
        return planned(config, folder, began, by_area(20.0))

    monkeypatch.setattr(planning, "planned", choose)
    config = changed(config_of(nnunet_folder, tmp_path / "run"), recipe=recipe, epochs=None, time="25s")
    run = train(**vars(config))
    written = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert written.time is None
    assert written.epochs == len(rows_of(run)) > 1
    assert (written.head_epochs > 0) == (recipe == "lora")
    monkeypatch.setattr(planning, "planned", None)
    assert resume(run.directory).directory == run.directory
    again = train(**vars(replace(written, out=str(tmp_path / "again"))))
    assert rows_of(again) == rows_of(run)


def test_a_training_without_a_schedule_is_laid_out_where_there_is_no_gpu(
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[str | None] = []

    def choose(config: TrainConfig, folder: Any, began: float, runs: int) -> Timetable:
        asked.append(config.time)
        return planned(replace(config, epochs=None, time="25s"), folder, began, by_area(20.0))

    monkeypatch.setattr(planning, "planned", choose)
    with caplog.at_level("INFO", "samtailor"):
        run = train(**vars(replace(config_of(nnunet_folder, tmp_path / "run"), epochs=None)))
    assert asked == ["30m"]
    assert "No schedule is given, and there is no GPU: as with --time 30m" in caplog.text
    assert "Expected to end" not in caplog.text  # the plan has said so
    written = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert written.time is None
    assert written.epochs == len(rows_of(run))


def test_estimate_has_no_time_of_its_own(tiny_base: Base, nnunet_folder: Path) -> None:
    with pytest.raises(ConfigError, match="time: expected with train"):
        estimate_training(replace(config_of(nnunet_folder, Path("run")), epochs=None, time="10m"))


def test_the_data_are_looked_at_once_however_many_sizes_are_tried(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_dataset(generate.image_folder(tmp_path / "pictures", cases=6, size=(128, 96))).with_default_split()
    config = replace(config_of(folder.root, Path("run")), epochs=None, time="10m")
    loaded: list[str] = []
    load = SliceCache.load
    monkeypatch.setattr(SliceCache, "load", lambda self, files: loaded.append(files.name) or load(self, files))
    monkeypatch.setattr(planning, "find_base", lambda _: replace(tiny_base, image_size=128))
    tried: list[int] = []
    open_size = replace(config, sampling=replace(config.sampling, image_size=None))
    planned(open_size, folder, time.monotonic(), by_area(10.0, tried))
    assert len(set(tried)) > 1
    assert len(loaded) == len(set(loaded))
