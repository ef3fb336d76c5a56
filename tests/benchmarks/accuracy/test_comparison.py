"""A comparison fits all methods in one time on one split, goes on where it stopped, and refuses what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import __main__ as program
from benchmarks.accuracy import methods
from benchmarks.accuracy.job import own_cache
from benchmarks.accuracy.methods import METHODS, Method
from samtailor.data.dataset import open_dataset
from samtailor.files import cache_home
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training import keeping_time, planning
from samtailor.training.planning import Timetable, planned
from samtailor.training.settings import TrainConfig
from tests.training.test_planning import by_area

SECONDS = 10.0


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are not measured, which takes seconds, but said to take long: training is over early on a busy machine."""

    def choose(config: TrainConfig, folder: Any, began: float, runs: int) -> Timetable:
        return planned(config, folder, began, by_area(7.0))

    monkeypatch.setattr(planning, "planned", choose)
    monkeypatch.setattr(methods, "measure_apart", by_area(4.0))


def words(data: Path, out: Path, *more: str) -> list[str]:
    place = [str(data), "--out", str(out), "--base", "tiny-sam", "--device", "cpu"]
    return [*place, "--minutes", str(SECONDS / 60), *more]


@pytest.mark.usefixtures("measured", "tiny_base")
@pytest.mark.parametrize(
    ("kind", "names"),
    [("nnunet_folder", ["samtailor", "report", "dynunet-half"]), ("image_folder", ["dynunet-half", "segformer"])],
)
def test_methods_are_fitted_in_time_and_scored_on_the_same_grids(
    kind: str, names: list[str], request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data: Path = request.getfixturevalue(kind)
    assert program.main(words(data, tmp_path / "out", "--methods", *names)) == 0
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [fit["method"] for fit in content["fits"]] == names
    cases: dict[str, Any] = {}
    for fit in content["fits"]:
        if fit["method"] != "samtailor":  # of which a step was said to take too long for the time to be filled
            assert fit["seconds"] > 0.8 * SECONDS  # that they end in time is seen by a clock of steps
        assert all(0 <= value <= 1 for value in fit["scores"].values())
        place = tmp_path / "out" / f"{fit['method']}-{SECONDS / 60:g}m-seed0"
        assert not (place / "cache").exists()
        metrics = json.loads((place / "scores" / "metrics.json").read_text())
        truth = {
            case: {name: values["truth_voxels"] for name, values in classes.items() if isinstance(values, dict)}
            for case, classes in metrics["cases"].items()
        }
        assert cases.setdefault("truth", truth) == truth
    folder = open_dataset(data).with_default_split()
    assert set(cases["truth"]) == set(folder.splits["test"])
    assert content["split"] == {
        **{split: len(folder.splits[split]) for split in ("train", "val")},
        "scored": "test",
        "cases": len(folder.splits["test"]),
    }
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()
    page = (tmp_path / "out" / "results.md").read_text()
    assert page in capsys.readouterr().out
    assert ("RANDOM weights" in page) == ("segformer" in names)
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000


@pytest.mark.usefixtures("measured", "tiny_base")
def test_ours_may_have_flags_of_train(image_folder: Path, tmp_path: Path) -> None:
    names = ["samtailor", "samtailor --recipe lora --layers all --norms", "samtailor --optim.ema 0.99 --seed 0"]
    assert program.main(words(image_folder, tmp_path / "out", "--methods", *names)) == 0
    folders = ("samtailor", "samtailor-recipe-lora-layers-all-norms", "samtailor-optim.ema-0.99-seed-0")
    places = [tmp_path / "out" / f"{folder}-{SECONDS / 60:g}m-seed0" / "run" for folder in folders]
    usual, lora, averaged = (Run(place).read_config() for place in places)
    assert (lora["recipe"], lora["layers"], lora["norms"]) == ("lora", "all", True)
    assert usual["recipe"] == averaged["recipe"] == "adapter"
    assert (usual["optim"]["ema"], averaged["optim"]["ema"]) == (0.0, 0.99)
    page = (tmp_path / "out" / "results.md").read_text()
    assert "samtailor --recipe lora --layers all --norms: samtailor train --time --recipe lora" in page
    assert program.main(words(image_folder, tmp_path / "out", "--methods", "samtailor", "--seeds", "1")) == 0
    fits = json.loads((tmp_path / "out" / "results.json").read_text())["fits"]
    assert [(fit["method"], fit["seed"]) for fit in fits] == [
        (names[0], 0),
        (names[0], 1),
        (names[1], 0),
        (names[2], 0),
    ]


def test_all_methods_are_fitted_unless_some_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(program, "compare", lambda data, out, minutes, seeds, methods, *rest: asked.append(methods))
    program.main(["data", "--out", str(tmp_path)])
    program.main(["data", "--out", str(tmp_path), "--methods", "report"])
    assert asked == [["samtailor", "report", "dynunet", "dynunet-half", "unet", "unet-half", "segformer"], ["report"]]


@pytest.mark.usefixtures("measured")
def test_the_reports_recipe_is_plain_and_validated_once(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_time, "TOLERATED", float("inf"))  # as it was laid out
    assert program.main(words(nnunet_folder, tmp_path / "out", "--methods", "report", "--seeds", "3")) == 0
    (place,) = (tmp_path / "out").glob("report-*")
    run = Run(place / "run")
    config = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert config.recipe.name == "lora"
    assert vars(config.recipe)["rank"] == 4
    assert vars(config.recipe)["layers"] == "query-value"
    assert config.sampling.image_size == tiny_base.image_size
    assert config.sampling.field is None
    assert config.head_epochs == 0
    assert config.seed == 3
    assert config.validate_every == config.epochs == len(run.history())
    # ten steps of a second (four at 64 pixels) with four samples each, but for the start and the validation
    samples = config.epochs * (config.sampling.per_epoch or 0)
    assert 24 <= samples <= 0.95 * 40


def fake(monkeypatch: pytest.MonkeyPatch, calls: list[str], stop: str = "") -> None:
    """The method `segformer` writes down what is asked of it, and ends the program where it should."""

    def of(what: str) -> Any:
        def call(job: Any) -> Any:
            calls.append(what)
            if what == "fit":
                assert not (job.out / "half-done").exists()
                assert list(cache_home().iterdir()) == [cache_home() / "weights"]
                (job.out / "half-done").touch()
            if what == stop:
                raise KeyboardInterrupt
            return {"steps": 1}

        return call

    monkeypatch.setitem(METHODS, "segformer", Method("nothing", of("fit"), of("score")))
    monkeypatch.setattr(program, "numbers_of", lambda scores: {"DSC": 0.5})


@pytest.mark.usefixtures("tiny_base")
@pytest.mark.parametrize(("stop", "again"), [("fit", ["fit", "score"]), ("score", ["score"])])
def test_an_interrupted_comparison_goes_on(
    stop: str, again: list[str], nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = words(nnunet_folder, tmp_path / "out", "--methods", "segformer", "--seeds", "0", "1")
    home, calls = cache_home(), list[str]()
    fake(monkeypatch, calls, stop)
    with pytest.raises(KeyboardInterrupt):
        program.main(line)
    assert cache_home() == home
    calls.clear()
    fake(monkeypatch, calls)
    assert program.main(line) == 0
    assert calls == [*again, "fit", "score"]
    calls.clear()
    assert program.main([*line, "2"]) == 0
    assert calls == ["fit", "score"]
    assert [fit["seed"] for fit in json.loads((tmp_path / "out" / "results.json").read_text())["fits"]] == [0, 1, 2]


@pytest.mark.usefixtures("tiny_base")
def test_the_split_is_chosen(nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [])
    for split, line in {"val": ["--split", "val"], "test": []}.items():
        assert program.main(words(nnunet_folder, tmp_path / split, "--methods", "segformer", *line)) == 0
        assert json.loads((tmp_path / split / "results.json").read_text())["split"]["scored"] == split
    splits = json.loads((nnunet_folder / "splits_final.json").read_text())
    for file in (nnunet_folder / "imagesTs").iterdir():
        file.unlink()
    (nnunet_folder / "imagesTs").rmdir()
    (nnunet_folder / "splits_final.json").write_text(json.dumps(splits))
    assert program.main(words(nnunet_folder, tmp_path / "none", "--methods", "segformer")) == 0
    assert json.loads((tmp_path / "none" / "results.json").read_text())["split"]["scored"] == "val"


@pytest.mark.usefixtures("tiny_base")
def test_what_cannot_be_is_refused_before_any_work(
    nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(words(tmp_path / "nothing", tmp_path / "out")) == 2
    assert "expected a folder with a data set, found no such folder" in capsys.readouterr().err
    assert program.main([*words(nnunet_folder, tmp_path / "out"), "--base", "none"]) == 2
    assert "base: expected one of" in capsys.readouterr().err
    for method, message in {
        "mask2former": "methods: expected one of samtailor, report, dynunet, dynunet-half, unet, unet-half, segformer",
        "": "methods: expected one of",
        "unet --optim.ema 0.99": "methods: expected one of",
        "samtailor --optim.emu 0.99": "emu",
        "samtailor --time 2h --seed=3": "methods: expected seed and time to be the same for all; found 'samtailor",
        "samtailor --devices 2 --json": "methods: expected devices and json to be the same for all",
    }.items():
        assert program.main([*words(nnunet_folder, tmp_path / "out"), "--methods", method]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for wrong in (["--minutes", "0"], ["--minutes", "nan"]):
        with pytest.raises(SystemExit, match="2"):
            program.main([*words(nnunet_folder, tmp_path / "out"), *wrong])


def test_every_fit_begins_with_an_empty_cache(tmp_path: Path) -> None:
    home = cache_home()
    (home / "slices").mkdir(exist_ok=True)
    with own_cache(tmp_path / "cache"):
        assert cache_home() == tmp_path / "cache"
        assert [entry.name for entry in cache_home().iterdir()] == ["weights"]
        np.save(cache_home() / "some.npy", np.ones(3))
        mapped = np.load(cache_home() / "some.npy", mmap_mode="r")
    assert cache_home() == home
    assert (home / "slices").is_dir()
    assert (home / "weights").is_dir()
    assert not (tmp_path / "cache").exists()
    assert mapped.sum() == 3
