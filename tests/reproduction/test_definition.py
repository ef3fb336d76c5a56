"""The experiments' files say what the report says, and the schedules are what they were announced to be."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest

from samtailor.cli import parser_of
from samtailor.data.dataset import open_dataset
from samtailor.errors import ConfigError, SamTailorError
from samtailor.reproduction.cells import Fit, differences
from samtailor.reproduction.definition import AVERAGE, Column, load_experiment, merged
from samtailor.reproduction.plan import lay_out
from samtailor.reproduction.settings import ExperimentName, ReproduceConfig
from samtailor.training.resolve import resolve
from samtailor.training.settings import TrainConfig
from tests.reproduction import miniatures

NAMES = [name for name in get_args(ExperimentName) if name.startswith(("table", "figure")) and name != "table3"]

# Trained once with these flags: a plan has to recognise those runs.
FLAGS = {
    "table5": "--epochs 14 --batch_size 2 --optim.lr 1e-3 --validate_every 7 --sampling.image_size 80 --augment.flip "
    "both --augment.affine 0.3 --loss.class_weights auto",
    "table6": "--epochs 6 --batch_size 4 --optim.lr 1e-3 --validate_every 6 --sampling.image_size 96 "
    "--sampling.field 96 --sampling.rare 0.85 --loss.class_weights auto",
    "table2": "--epochs 4 --batch_size 2 --optim.lr 1e-3 --validate_every 2 --sampling.per_epoch 400 "
    "--sampling.image_size 96 --sampling.empty 0.1 --intensity.kind range --augment.affine 0.3 "
    "--loss.class_weights [0.5,1,1,1,1,1,1,1,1,1,1,1,2,2]",
}
DATA: dict[str, Callable[[Path], Path]] = {
    "table5": miniatures.gid5,
    "table6": miniatures.sirst,
    "table2": miniatures.btcv,
}


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_can_be_read(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.report.lower().replace(" ", "") == name
    assert experiment.columns
    assert experiment.cells in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_published_averages_are_the_means_of_the_published_rows(name: str) -> None:
    for column, numbers in load_experiment(name).published.items():
        rows = [value for label, value in numbers.items() if label != AVERAGE]
        assert sum(rows) / len(rows) == pytest.approx(numbers[AVERAGE], abs=2e-4), column


@pytest.mark.parametrize("what", FLAGS)
@pytest.mark.parametrize("column", ["adapter", "lora-1", "lora-4"])
def test_the_schedules_for_two_cores_are_those_of_the_finished_runs(what: str, column: str, tmp_path: Path) -> None:
    data = DATA[what](tmp_path / "data")
    recipe = "--recipe adapter" if column == "adapter" else f"--recipe lora --rank {column[-1]}"
    arguments = [str(data), "--out", "elsewhere", *shlex.split(f"{FLAGS[what]} {recipe}")]
    trained = TrainConfig(**parser_of("train").parse(arguments).settings)
    out = str(tmp_path / "out")
    plan = lay_out(ReproduceConfig(what, str(data), "lite-medsam", columns=[column], out=out))  # type: ignore[arg-type]
    (cell,) = plan.all_cells()
    assert isinstance(cell, Fit)
    found, wanted = asdict(resolve(trained, open_dataset(data))), asdict(cell.config)
    assert differences(found | {"out": ""}, wanted | {"out": ""}) == []
    assert cell.run.directory == Path(out) / column / "seed-0"


def test_settings_of_one_s_own_come_last(tmp_path: Path) -> None:
    own = miniatures.schedule(tmp_path / "mine.yaml")
    schedule = load_experiment("table5").schedule_for("gid5", "lite-medsam", own)
    assert (schedule.train["epochs"], schedule.train["sampling"]["image_size"]) == (1, 32)
    assert schedule.train["augment"] == {"flip": "both", "affine": 0.3}
    assert str(own) in schedule.text


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("trian: {}", "trian"),
        ("[1]", "[1]"),
        ("train: [", "mine.yaml"),
        ("train: 3", "under 'train'"),
        ("train:", "found nothing"),
        ("datasets:", "under 'datasets'"),
        ("datasets: {gid: {train: {epochs: 1}}}", "found 'gid' (did you mean gid5?)"),
        ("datasets: {gid5: {trian: {epochs: 1}}}", "found 'trian' (did you mean train?)"),
    ],
)
def test_a_wrong_settings_file_is_refused(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(SamTailorError, match="settings") as error:
        load_experiment("table5").schedule_for("gid5", "lite-medsam", tmp_path / "mine.yaml")
    assert named in str(error.value)


def test_nested_settings_are_merged_key_by_key() -> None:
    below = {"a": 1, "b": {"c": 2, "d": 3}, "e": None}
    assert merged(below, {"b": {"c": 4}, "e": {"f": 5}}) == {"a": 1, "b": {"c": 4, "d": 3}, "e": {"f": 5}}


def test_columns_say_where_they_lie_and_what_they_are() -> None:
    assert [Column(name).cell for name in ("sam", "sam2", "adapter", "lora-16")] == [
        "oracle",
        "oracle-sam2",
        "adapter",
        "lora-16",
    ]
    assert Column("lora-16").settings == {"recipe": "lora", "rank": 16}
    assert Column("sam2").is_zero_shot
    with pytest.raises(ConfigError, match="columns: expected sam, sam2, adapter"):
        Column("lora-0")
