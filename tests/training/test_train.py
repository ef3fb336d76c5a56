"""What a run promises: the same numbers twice, nothing lost by a kill, refusal of other data, a usable segmenter."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.errors import ConfigError, DataError
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.protocols import ProtocolName
from samtailor.models.segmenter_model import load_model
from samtailor.models.sources import fetch
from samtailor.models.zoo import Base
from samtailor.recipes import RecipeName, recipe_from_json
from samtailor.runs import Run
from samtailor.training import recorder
from samtailor.training.embeddings import EmbeddingSamples
from samtailor.training.fit import load_cases, new_segmenter, prepare
from samtailor.training.resolve import resolve
from samtailor.training.samples import EpochSampler, JoinedSamples
from samtailor.training.settings import AugmentConfig, LossConfig, OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import resume, train
from tests import generate
from tests.training.configs import changed


def config_of(data: Path, out: Path, recipe: RecipeName = "lora", epochs: int = 2) -> TrainConfig:
    return TrainConfig(
        data=str(data),
        out=str(out),
        base="tiny-sam",
        recipe=recipe_from_json({"name": recipe}),
        epochs=epochs,
        batch_size=4,
        sampling=SamplingConfig(image_size=32),
        optim=OptimConfig(lr=1e-3),
        device="cpu",
    )


def rows_of(run: Run) -> list[dict[str, str]]:
    """Rows of metrics.csv, but for the clock."""
    with (run.directory / "metrics.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k not in ("seconds", "waited")} for row in csv.DictReader(stream)]


@pytest.mark.parametrize(("seconds", "drawn"), [(0.0, [4]), (6.0, [2, 4]), (20.0, [1, 2, 3, 4])])
def test_the_curves_are_drawn_every_ten_seconds_and_at_the_end(
    seconds: float,
    drawn: list[int],
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs: list[int] = []
    now, draw, best_of = time.monotonic(), recorder.curves_figure, recorder.best_of

    def best_of_later(rows: list[dict[str, float]]) -> dict[str, float] | None:
        nonlocal now
        now += seconds
        return best_of(rows)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(recorder, "best_of", best_of_later)
    monkeypatch.setattr(recorder, "curves_figure", lambda rows, *rest: epochs.append(len(rows)) or draw(rows, *rest))
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=4)))
    assert epochs == drawn
    assert run.curves_file.is_file()


@pytest.mark.parametrize("recipe", ["lora", "adapter", "head-only", "full"])
def test_a_run_leaves_what_a_user_needs(
    recipe: RecipeName, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", recipe, epochs=1)))
    names = {p.relative_to(run.directory).as_posix() for p in run.directory.rglob("*") if p.is_file()}
    assert {
        "config.yaml",
        "dataset.json",
        "metrics.csv",
        "curves.png",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "segmenter/segmenter.json",
        "segmenter/weights.safetensors",
    } <= names
    (row,) = rows_of(run)
    assert {"epoch", "loss", "lr", "dsc", "dsc/liver", "dsc/spleen"} <= row.keys()
    with (run.directory / "metrics.csv").open(newline="") as stream:
        (clock,) = csv.DictReader(stream)
    assert 0 <= float(clock["waited"]) < 1
    assert float(clock["seconds"]) > 0
    assert not list(run.directory.rglob(".*"))
    assert load_model(run.directory).practice.flip == "none"


@pytest.mark.parametrize("protocol", ["samtailor", "irstd", "remote-sensing"])
def test_epochs_are_chosen_by_what_the_data_sets_protocol_counts(
    protocol: ProtocolName, tiny_base: Base, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "protocol", protocol)
    folder = open_dataset(image_folder).with_default_split()
    config = resolve(config_of(image_folder, tmp_path / "run"), folder)
    model = new_segmenter(config, folder.labels, folder.channel_choice)
    task = prepare(config, model, load_cases(config, folder), tmp_path / "embeddings").task
    assert task.mean == MeanDsc.of_protocol(protocol)


@pytest.mark.parametrize(
    ("settings", "by_epoch"),
    [
        ({}, [0.0, 0.3, 0.3]),
        ({"head_epochs": 1}, [None, 0.3, 0.3]),  # whose first epoch has embeddings
        ({"epochs": 1}, [0.0]),
        ({"sampling": SamplingConfig(image_size=32, field=None, rare=0.9, wide=0.3)}, [0.0] * 3),
        ({"recipe": "head-only"}, [None] * 3),
    ],
    ids=str,
)
def test_some_crops_are_wide_from_the_second_epoch_on_and_predictions_look_as_wide(
    settings: dict[str, Any], by_epoch: list[float | None], tiny_base: Base, image_folder: Path, tmp_path: Path
) -> None:
    folder = open_dataset(image_folder).with_default_split()
    sampling = SamplingConfig(image_size=32, field=24, rare=0.9, wide=0.3)
    plain = config_of(image_folder, tmp_path / "run", "adapter")
    config = resolve(changed(plain, **{"epochs": 3, "sampling": sampling, **settings}), folder)
    model = new_segmenter(config, folder.labels, folder.channel_choice)
    samples = prepare(config, model, load_cases(config, folder), tmp_path / "embeddings").samples

    def source_of(index: int) -> Any:
        whole: Any = samples.dataset
        if not isinstance(whole, JoinedSamples):
            return whole
        return whole.first if index < len(whole.first) else whole.second

    for epoch, wide in enumerate(by_epoch):
        assert isinstance(samples.sampler, EpochSampler)
        (source,) = {source_of(index) for index, _ in samples.sampler.drawn(epoch)}
        assert isinstance(source, EmbeddingSamples) if wide is None else source.crops.wide == wide
        if wide is not None:
            assert source.crops.rare == (1.0 if config.wide and epoch == 0 else 0.9)
    assert model.practice.wide == (by_epoch[-1] or 0.0)


def test_checkpoints_hold_only_what_is_trained(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    checkpoint = torch.load(run.last_checkpoint, weights_only=True)
    assert checkpoint["state_dict"].keys() == load_model(run.directory).trained_state().keys()


@pytest.mark.parametrize("flip", ["auto", "both"])
def test_a_head_that_has_seen_no_flips_is_not_averaged_over_them(
    flip: Any, tiny_base: Base, image_folder: Path, tmp_path: Path
) -> None:
    """Its embeddings are computed once, of the images as they are."""
    config = config_of(image_folder, tmp_path / "run", "head-only", epochs=1)
    run = train(**vars(replace(config, tta="auto", augment=replace(config.augment, flip=flip))))
    practice = load_model(run.directory).practice
    assert (practice.flip, practice.tta) == ("none", "none")


def test_a_picture_much_larger_than_those_of_the_training_is_seen_at_their_scale(
    tiny_base: Base, image_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(config_of(image_folder, tmp_path / "run", epochs=1)))
    assert load_model(run.directory).practice.flip == "columns"  # of pictures, by default
    segmenter, picture = samtailor.load(run.directory), next((image_folder / "images").iterdir())
    pixels = np.asarray(Image.open(picture))
    assert segmenter.model.preprocessing.seen == max(pixels.shape[:2])
    alone, many = segmenter.predict(pixels).label, segmenter.predict(np.tile(pixels, (4, 4, 1))).label
    assert len(segmenter.model.preprocessing.windows(*many.shape[1:])) > 16
    rows, columns = pixels.shape[:2]
    agreement = (many[0, :rows, :columns] == alone[0]).mean()
    assert agreement > 0.8  # but for the blend with the neighbouring windows


def test_the_same_command_twice_gives_the_same_numbers(tiny_base: Base, image_folder: Path, tmp_path: Path) -> None:
    first, second = (train(**vars(config_of(image_folder, tmp_path / name))) for name in ("a", "b"))
    assert rows_of(first) == rows_of(second)


def test_the_resolved_config_repeats_the_run(tiny_base: Base, image_folder: Path, tmp_path: Path) -> None:
    first = train(**vars(config_of(image_folder, tmp_path / "a", epochs=1)))
    content = yaml.safe_load(first.config_file.read_text())
    assert content["intensity"] == {"kind": "range", "values": [0.0, 255.0]}
    second = train(**{**vars(TrainConfig.from_plain(first.read_config(), "run")), "out": str(tmp_path / "b")})
    assert rows_of(first) == rows_of(second)


def test_the_loss_is_taken_at_the_resolution_that_is_asked_for(
    any_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    def loss(resolution: Literal["low", "full"]) -> str:
        config = config_of(nnunet_folder, tmp_path / resolution, epochs=1)
        sampling = SamplingConfig(image_size=64)
        altered = dataclasses.replace(
            config, base=any_base.name, sampling=sampling, loss=LossConfig(resolution=resolution)
        )
        return rows_of(train(**vars(altered)))[0]["loss"]

    logits_are_full = any_base.stride == 4
    assert (loss("low") == loss("full")) == logits_are_full


def test_classes_weigh_as_much_as_is_said(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    def loss(name: str, weights: Any) -> str:
        config = config_of(nnunet_folder, tmp_path / name, epochs=1)
        return rows_of(train(**vars(dataclasses.replace(config, loss=LossConfig(class_weights=weights)))))[0]["loss"]

    equal = loss("equal", "none")
    assert equal == loss("unset", None) == loss("ones", [1, 1, 1])
    assert len({equal, loss("auto", "auto"), loss("listed", [1, 1, 2])}) == 3


def test_configs_of_older_versions_are_read(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = resolve(config_of(nnunet_folder, tmp_path / "run"), open_dataset(nnunet_folder))
    run = Run(tmp_path / "run")
    run.write_config(config.to_plain())
    content = yaml.safe_load(run.config_file.read_text())
    del content["loss"]["resolution"]
    run.config_file.write_text(yaml.safe_dump(content))
    assert TrainConfig.from_plain(run.read_config(), "run") == config


@pytest.mark.parametrize("recipe", ["lora", "adapter"])
def test_frozen_blocks_kept_on_disk_give_the_training_without_them(
    recipe: RecipeName, any_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    flags = f"--base {any_base.name} --recipe {recipe} --last_blocks 1 --epochs 2 --sampling.image_size 64 --device cpu"
    unchanged = "--sampling.empty 0 --augment.flip none --augment.affine 0 --augment.intensity 0"
    words = ["train", str(nnunet_folder), *flags.split(), *unchanged.split()]
    assert main([*words, "--out", str(tmp_path / "plain")]) == 0
    assert not (tmp_path / "home" / "embeddings").exists()
    assert main([*words, "--out", str(tmp_path / "kept"), "--cache_frozen"]) == 0
    entries = list((tmp_path / "home" / "embeddings").glob("*.npy"))
    assert len(entries) == 5  # four training cases and one for validation
    plain, kept = (rows_of(Run(tmp_path / name)) for name in ("plain", "kept"))
    for expected, found in zip(plain, kept, strict=True):
        for name in ("loss", "dsc"):
            assert float(found[name]) == pytest.approx(float(expected[name]), rel=2e-2, abs=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--last_blocks 1", "found random changes (affine 0.5, intensity 0.15); turn them off"),
        ("--recipe head-only", "expected the recipe lora, or adapter without depth, with some --last_blocks"),
        (
            "",
            "found Adapter(",
        ),
        (
            "--last_blocks 1 --recipe adapter --depth",
            "found Adapter(reduction=4, scale=0.5, depth=True",
        ),
    ],
)
def test_what_changes_from_epoch_to_epoch_is_not_cached(
    flags: str, message: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(nnunet_folder), "--out", str(tmp_path / "run"), "--base", tiny_base.name, "--cache_frozen"]
    assert main([*words, *flags.split()]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_there_must_be_frozen_blocks_to_cache(nnunet_folder: Path, tmp_path: Path, any_base: Base) -> None:
    still = AugmentConfig(affine=0, intensity=0)
    config = dataclasses.replace(config_of(nnunet_folder, tmp_path / "run"), base=any_base.name, augment=still)
    sampling = SamplingConfig(image_size=64)
    config = changed(config, sampling=sampling, last_blocks=99, cache_frozen=True, epochs=1)
    if any_base.family == "tiny-vit":  # its first stage has no attention that could be adapted
        train(**vars(config))
    else:
        with pytest.raises(ConfigError, match=r"last_blocks: expected fewer than all \d+ blocks"):
            train(**vars(config))
        assert not (tmp_path / "run").exists()


def test_a_resumed_run_ends_as_an_uninterrupted_one(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    whole = train(**vars(config_of(nnunet_folder, tmp_path / "whole", epochs=3)))
    part = tmp_path / "part"
    process = start_training(config_of(nnunet_folder, part, epochs=3), fetch(tiny_base.weights))
    wait_for(part / "checkpoints" / "last.ckpt", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = resume(part)
    assert rows_of(resumed) == rows_of(whole)
    state, expected = load_model(resumed.directory).trained_state(), load_model(whole.directory).trained_state()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def start_training(config: TrainConfig, weights: Path) -> subprocess.Popen[bytes]:
    """Train in a process of its own, slowly enough to be killed between two epochs."""
    program = f"""
import time
from pathlib import Path
from samtailor.models.zoo import BASES
from samtailor.recipes import *
from samtailor.training.settings import *
from samtailor.settings import *
from samtailor.training.recorder import Recorder
from samtailor.training.train import train
from tests.tiny_base import tiny_base

BASES["tiny-sam"] = tiny_base(Path({str(weights)!r}))
begin = Recorder.on_train_epoch_start

def slowly(self, trainer, task):
    time.sleep(2 if trainer.current_epoch else 0)
    begin(self, trainer, task)

Recorder.on_train_epoch_start = slowly
train(**vars({config!r}))
"""
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", program], cwd=root, env=os.environ.copy())


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the file is there."""
    for _ in range(1200):
        if path.is_file():
            return
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_a_run_killed_before_its_first_checkpoint_can_be_resumed(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    whole = train(**vars(config_of(nnunet_folder, tmp_path / "whole", epochs=1)))
    shutil.copytree(whole.directory, tmp_path / "part", ignore=lambda *_: ["checkpoints", "segmenter", "metrics.csv"])
    assert rows_of(resume(tmp_path / "part")) == rows_of(whole)


def test_resume_refuses_other_data(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    _, ids = generate.volume((32, 24, 6), seed=99)
    generate.write_volume(nnunet_folder / "labelsTr" / "case_0.nii.gz", ids)
    with pytest.raises(DataError, match=r"expected the data the run .* began with"):
        resume(run.directory)


def test_resume_refuses_a_directory_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run"):
        resume(tmp_path)


def test_a_directory_with_files_is_not_overwritten(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("thesis")
    with pytest.raises(ConfigError, match=r"expected a new or empty directory.* name another one$"):
        train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious"]
    (tmp_path / "run" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=rf"or continue the run with samtailor resume {tmp_path / 'run'}$"):
        train(**vars(config_of(nnunet_folder, tmp_path / "run")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "16"}, "precision: expected bf16 or 32 on the CPU"),
        ({"base": "sam-vit-x"}, "base: expected one of .*lite-medsam"),
        ({"sampling": SamplingConfig(image_size=30)}, "image_size: expected a multiple of 4"),
        ({"weights": "/no/such/file"}, "expected a weights file .*found nothing"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_is_written(
    change: dict[str, object], message: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(**{**vars(config_of(nnunet_folder, tmp_path / "run")), **change})  # type: ignore[arg-type]
    with pytest.raises(samtailor.SamTailorError, match=message):
        train(**vars(config))
    assert not (tmp_path / "run").exists()


def test_two_lines_of_python_fit_and_two_predict(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    run = samtailor.train(
        nnunet_folder,
        base="tiny-sam",
        recipe=samtailor.LoRA(rank=2),
        out=tmp_path / "run",
        epochs=1,
        sampling=SamplingConfig(image_size=32),
    )
    segmenter = samtailor.load(run.directory)
    source = nnunet_folder / "imagesTs" / "case_5_0000.nii.gz"
    segmenter.predict(source).save(tmp_path / "out.nii.gz")
    assert (tmp_path / "out.nii.gz").is_file()
    assert segmenter.recipe == samtailor.LoRA(rank=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": "adapter", "depth": True},
        {"recipe": "adapter", "last_blocks": 1},
        {"recipe": "lora", "dora": True},
        {"recipe": "lora", "rslora": True, "last_blocks": 1, "checkpointing": True},
        {"recipe": "lora", "layers": "all", "norms": True, "prompt_fraction": 0.5},
        {"recipe": "lora", "layers": "linear", "dora": True},
        {"recipe": "lora", "fine_features": True, "loss": LossConfig(coarse=0.5)},
        {"recipe": "head-only", "fine_features": True, "prompts": "outline", "refine": "outline"},
        {"recipe": "lora", "prompt_fraction": 0.5},
        {"recipe": "head-only", "prompt_fraction": 1.0},
        {"recipe": "head-only", "prompts": "outline", "refine": "outline"},
        {"recipe": "lora", "prompts": "outline", "refine": "outline,largest-component"},
        {"recipe": "full"},
    ],
    ids=str,
)
def test_every_base_is_fitted_and_loaded_by_every_recipe(
    settings: dict[str, Any], any_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    config = config_of(nnunet_folder, tmp_path / "run", epochs=1)
    sampling = dataclasses.replace(config.sampling, image_size=64)
    run = train(**vars(changed(config, base=any_base.name, sampling=sampling, **settings)))
    assert np.isfinite(float(rows_of(run)[0]["loss"]))
    segmenter = samtailor.load(run.directory)
    case = next(iter(sorted((nnunet_folder / "imagesTr").iterdir())))
    label = segmenter.predict(case).label
    assert label.ndim == 3
    assert set(np.unique(label)) <= set(range(len(segmenter.labels)))
    prompted = "prompt_fraction" in settings or "prompts" in settings
    assert segmenter.model.practice.prompts == (settings.get("prompts", "drawn") if prompted else "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": True}, "depth: expected with the recipe adapter, found it with lora"),
        ({"recipe": "adapter", "last_blocks": 0}, "last_blocks: expected a whole number from 1 to 1000000; found 0"),
        ({"prompt_fraction": 1.5}, "prompt_fraction: expected a number from 0 to 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    settings: dict[str, Any], message: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(**vars(changed(config_of(nnunet_folder, tmp_path / "run"), **settings)))
    assert not (tmp_path / "run").exists()


def without_foreground(root: Path, cases: list[str]) -> None:
    """Make the labels of some cases of an nnU-Net folder background."""
    for case in cases:
        generate.write_volume(root / "labelsTr" / f"{case}.nii.gz", np.zeros((32, 24, 6), np.uint8))


def test_where_validation_can_measure_nothing_the_last_epoch_is_kept(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_foreground(nnunet_folder, ["case_4"])
    config = changed(config_of(nnunet_folder, tmp_path / "run", epochs=3), patience=1)
    run = train(**vars(config))
    assert caplog.text.count("No validation case (case_4) has a pixel of a class other than the background") == 1
    assert [("dsc" in row, row["epoch"]) for row in run.history()] == [(False, 1), (False, 2), (False, 3)]
    best, last = (torch.load(file, weights_only=True) for file in (run.best_checkpoint, run.last_checkpoint))
    assert best["epoch"] == last["epoch"] == 2
    kept = load_model(run.directory).trained_state()
    assert all(torch.equal(kept[name], value) for name, value in last["state_dict"].items())
    assert run.is_finished()


def plan_scores(monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
    """The validations to come have these scores."""
    left = iter(scores)
    log = SegmentationTask.log

    def planned(task: SegmentationTask, name: str, value: Any, **options: Any) -> None:
        log(task, name, next(left) if name == "dsc" else value, **options)

    monkeypatch.setattr(SegmentationTask, "log", planned)


def test_the_segmenter_is_that_of_the_epoch_that_is_kept(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_scores(monkeypatch, 0.2, 0.6, 0.6, 0.1)
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=4)))
    assert [round(row["dsc"], 3) for row in run.history()] == [0.2, 0.6, 0.6, 0.1]
    best = torch.load(run.best_checkpoint, weights_only=True)
    assert best["epoch"] == 2  # smoothed: 0.2, 0.4, 0.5, 0.3
    kept = load_model(run.directory).trained_state()
    assert all(torch.equal(kept[name], value) for name, value in best["state_dict"].items())


def test_training_cases_without_foreground_are_refused(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    without_foreground(nnunet_folder, [f"case_{i}" for i in range(4)])
    with pytest.raises(samtailor.SamTailorError):
        train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["adapter", "head-only"])
def test_training_and_prediction_see_the_same_neighbouring_slices(
    recipe: RecipeName, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    config = config_of(nnunet_folder, tmp_path / "run", recipe, epochs=1)
    config = replace(config, sampling=replace(config.sampling, neighbours=True))
    run = train(**vars(config))
    segmenter = samtailor.load(run.directory)
    assert segmenter.model.preprocessing.neighbours
    volume = np.random.default_rng(0).normal(100, 50, (5, 32, 24)).astype(np.float32)
    found = segmenter.predict(volume, spacing=(2.0, 1.0, 1.0), probabilities=True, device="cpu").probabilities
    volume[3] += 200.0
    changed_slice = segmenter.predict(volume, spacing=(2.0, 1.0, 1.0), probabilities=True, device="cpu").probabilities
    assert found is not None
    assert changed_slice is not None
    differs = (found != changed_slice).any(axis=(0, 2, 3))
    assert differs.tolist() == [False, False, True, True, True]
