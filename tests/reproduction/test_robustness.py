"""Robustness of fits: those that denoise and those on corrupted images, scored as the verb scores runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import samtailor
from samtailor.data.corruptions import BY_MODALITY
from samtailor.data.named import DatasetName
from samtailor.data.steps import STEPS
from samtailor.errors import ConfigError, WeightsError
from samtailor.evaluation.robustness.study import Study
from samtailor.files import read_json
from samtailor.models.zoo import Base
from samtailor.reproduction import definition
from samtailor.reproduction.definition import load_experiment
from samtailor.reproduction.plan import lay_out
from samtailor.reproduction.reproduce import reproduce
from samtailor.reproduction.settings import ReproduceConfig
from tests.reproduction import miniatures

FITS = ["plain", "median", "corrupt", "corrupt-gaussian"]
DAMAGE = "gaussian,blur"


def config(root: Path, base: Base, **given: Any) -> dict[str, Any]:
    """Robustness on the miniature of GID-5, with few fits and corruptions."""
    places = {"data": str(root / "gid5"), "out": str(root / "out"), "settings": str(root / "settings.yaml")}
    return {"what": "robustness", "base": base.name, "columns": FITS, **places, **given}


def settings(root: Path, **damage: Any) -> None:
    """A schedule of seconds."""
    content = {"train": miniatures.SCHEDULE["train"], "damage": {"corruptions": DAMAGE, **damage}}
    (root / "settings.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> Path:
    """A folder with data, settings, and everything that was made of them."""
    root = tmp_path_factory.mktemp("robustness")
    miniatures.gid5(root / "gid5")
    settings(root)
    reproduce(**config(root, tiny_base))
    return root


def read(root: Path) -> dict[str, Any]:
    """The numbers of the page."""
    content: dict[str, Any] = read_json(root / "out" / "robustness.json", dict, "")
    return content


def test_the_numbers_are_those_of_the_verb(root: Path, tiny_base: Base) -> None:
    runs = [root / "out" / fit / "seed-0" for fit in FITS]
    found = samtailor.robustness(
        runs[0],
        root / "gid5",
        others=runs[1:],
        baseline=runs[0],
        corruptions=DAMAGE,
        protocol="nnunet",
        out=root / "by-verb",
        overwrite=True,
    ).to_json()
    content = read(root)
    assert list(content["runs"]) == FITS
    assert list(content["runs"].values()) == list(found["runs"].values())
    assert content["runs"]["plain"]["mce"] == 1


def test_fits_are_trained_as_their_names_say(root: Path, tiny_base: Base) -> None:
    by_name = {cell.column.name: cell.config for cell in lay_out(ReproduceConfig(**config(root, tiny_base))).fits}
    assert [type(step) for step in by_name["median"].denoise] == [STEPS["median"]]
    assert not by_name["plain"].denoise
    assert by_name["plain"].augment.corrupt == "none"
    for name in ("corrupt", "corrupt-gaussian"):
        assert set(by_name[name].augment.corrupt.split(",")) == set(BY_MODALITY["general"])
    assert [type(step) for step in by_name["corrupt-gaussian"].denoise] == [STEPS["gaussian"]]


def test_the_page_has_tables_curves_and_times(root: Path) -> None:
    text = (root / "out" / "robustness.md").read_text()
    assert text.startswith("# Section 5.1 of the report, measured: denoising and training on corrupted images")
    assert "| corruption " in text
    assert "relative mCE" in text
    assert "| corrupt-gaussian, tiny-sam, seed 0 " in text  # parameters and wall time
    assert (root / "out" / "robustness" / "curves.png").is_file()


def test_the_plain_fit_is_that_of_boundaries(root: Path, tiny_base: Base) -> None:
    given = config(root, tiny_base, what="boundaries", columns=["plain"])
    (cell,) = lay_out(ReproduceConfig(**given)).fits
    assert cell.state() == "done"


def test_scores_made_on_another_machine_count(
    root: Path, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    there = tmp_path / "there"
    shutil.copytree(root, there)
    for number, path in enumerate(sorted(there.rglob("*"))):
        os.utime(path, (number, number))
    monkeypatch.setattr(Study, "_scores", refuse)
    monkeypatch.setattr("samtailor.evaluation.robustness.study.chosen_precision", lambda *_: "bf16")
    reproduce(**config(there, tiny_base))
    assert read(there)["runs"] == read(root)["runs"]


def test_without_the_plain_fit_there_is_no_corruption_error(root: Path, tiny_base: Base, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(root, there)
    reproduce(**config(there, tiny_base, columns=["median"]))
    assert read(there)["runs"]["median"]["mce"] is None


def test_no_corruption_is_refused(root: Path, tiny_base: Base, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(root, there)
    settings(there, corruptions="none")
    with pytest.raises(ConfigError, match=r"damage.corruptions: expected at least one"):
        reproduce(**config(there, tiny_base))


def test_every_denoiser_is_tried_alone_and_can_be_with_corrupted_images() -> None:
    experiment = load_experiment("robustness")
    assert set(STEPS) | {"plain", "corrupt"} < set(experiment.columns)
    assert {f"corrupt-{name}" for name in STEPS} < set(experiment.schedule.fits)
    for name in STEPS:
        assert experiment.schedule.fits[name] == {"denoise": name}
        corrupt = {"denoise": name, "augment": {"corrupt": "auto", "copies": 1}}
        assert experiment.schedule.fits[f"corrupt-{name}"] == corrupt


@pytest.mark.parametrize("dataset", ["btcv", "gid5", "sirst"])
def test_fits_on_corrupted_images_see_as_many_clean_ones_as_the_others(dataset: DatasetName) -> None:
    schedule = load_experiment("robustness").schedule_for(dataset, "lite-medsam")
    for name, own in schedule.fits.items():
        if name.startswith("corrupt"):
            assert own["augment"]["copies"] == 1
            assert own["sampling"]["per_epoch"] == 2 * schedule.train["sampling"]["per_epoch"]


def test_ct_that_is_not_called_so_has_its_corruptions() -> None:
    schedule = load_experiment("robustness").schedule_for("btcv", "lite-medsam")
    expected = {*BY_MODALITY["general"], *BY_MODALITY["CT"]}
    assert set(schedule.damage["corruptions"].split(",")) == expected
    for name in ("corrupt", *(f"corrupt-{denoiser}" for denoiser in STEPS)):
        fit = schedule.column(name).settings
        assert set(fit["augment"]["corrupt"].split(",")) == expected
        assert fit.get("denoise", "none") == (name.removeprefix("corrupt-") if "-" in name else "none")


def test_a_fit_whose_weights_cannot_be_had_is_missing(
    root: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise WeightsError("dncnn: no network")

    monkeypatch.setattr(STEPS["dncnn"], "require_ready", refuse)
    plan = lay_out(ReproduceConfig(**config(root, tiny_base, columns=[])))
    assert "Without dncnn: what it needs cannot be had here (dncnn: no network)." in plan.missing_columns()
    assert {"plain", "corrupt"} < {column.name for column in plan.cells}
    with pytest.raises(WeightsError, match="no network"):
        lay_out(ReproduceConfig(**config(root, tiny_base, columns=["dncnn"])))


def test_the_schedule_for_a_gpu_fits_both_experiments() -> None:
    own = Path(definition.__file__).parent / "gpu.yaml"
    for what in ("boundaries", "robustness"):
        experiment = load_experiment(what)
        for name in experiment.datasets:
            usual = experiment.schedule_for(name, "lite-medsam")
            schedule = experiment.schedule_for(name, "lite-medsam", own)
            assert schedule.train["sampling"]["image_size"] > usual.train["sampling"]["image_size"]
            outline = schedule.column("outline").settings["sampling"]["per_epoch"]
            assert outline < schedule.train["sampling"]["per_epoch"]
