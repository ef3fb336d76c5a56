"""Boundaries: every step behind one fit, each measured once, wherever the parts were made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

import samtailor
from samtailor.data.formats import read_case
from samtailor.errors import ConfigError
from samtailor.evaluation.comparison.results import read_results
from samtailor.files import read_json
from samtailor.models.zoo import Base
from samtailor.refinement import REFINE, STEPS
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.outline import Outline
from samtailor.reproduction import boundaries, refined
from samtailor.reproduction.definition import load_experiment
from samtailor.reproduction.plan import lay_out
from samtailor.reproduction.reproduce import reproduce
from samtailor.reproduction.scoring import read_saved
from samtailor.reproduction.settings import ReproduceConfig
from samtailor.settings import hints_of
from tests.reproduction import miniatures

TABLE = load_experiment("boundaries").table


def settings(path: Path) -> Path:
    """A schedule of seconds for the miniatures."""
    content: dict[str, Any] = {"train": miniatures.SCHEDULE["train"], "fits": {"outline": {"prompt_fraction": 1.0}}}
    path.write_text(yaml.safe_dump(content))
    return path


def config(root: Path, base: Base, **given: Any) -> dict[str, Any]:
    """Boundaries on the miniature of GID-5."""
    places = {"data": str(root / "gid5"), "out": str(root / "out"), "settings": str(root / "settings.yaml")}
    return {"what": "boundaries", "base": base.name, **places, **given}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> Path:
    """A folder with data, settings, and everything that was made of them."""
    root = tmp_path_factory.mktemp("boundaries")
    miniatures.gid5(root / "gid5")
    settings(root / "settings.yaml")
    reproduce(**config(root, tiny_base))
    return root


def read(root: Path) -> dict[str, Any]:
    """The numbers of the page."""
    content: dict[str, Any] = read_json(root / "out" / "boundaries.json", dict, "")
    return content


def folder(root: Path, fit: str, name: str) -> Path:
    """Where what is behind a fit lies."""
    return root / "out" / fit / "seed-0" / "evaluation" / "test" / "refined" / name


@pytest.mark.usefixtures("crf")
def test_the_table_has_every_fit_and_step_with_its_scores(root: Path) -> None:
    content = read(root)
    assert [(row["fit"], row["refinement"]) for row in content["rows"]] == [
        (fit, name) for fit, names in TABLE.items() for name in names
    ]
    for row in content["rows"]:
        scored = read_json(folder(root, row["fit"], row["refinement"]) / "metrics.json", dict, "")
        assert row["scores"] == scored["mean_without_background"]
        assert row["seconds_per_case"] > 0
    text = (root / "out" / "boundaries.md").read_text()
    assert "| plain, crf " in text
    assert "wall time" in text


def test_each_row_is_tested_against_the_plain_fit_alone(root: Path, tiny_base: Base) -> None:
    first, *others = read(root)["rows"]
    assert first["against"] == {}
    for row in others:
        files = [folder(root, one["fit"], one["refinement"]) for one in (first, row)]
        (pair,) = samtailor.compare(files).pairs
        test = row["against"]["dsc"]
        assert (test["difference"], test["p"]) == (pair.tests[0].change.value, pair.tests[0].p)
    assert f"the {len(others)} tests of this page" in (root / "out" / "boundaries.md").read_text()


def test_the_sweep_tries_every_prompt_but_the_empty_one(root: Path) -> None:
    tried = [tuple(row["steps"][0][part] for part in ("points", "box", "mask")) for row in read(root)["sweep"]]
    every = {(n, box, mask) for n in (0, 4, 8, 16, 32) for box in (True, False) for mask in (True, False)}
    assert len(tried) == len(set(tried)) == 19
    assert set(tried) == every - {(0, False, False)}


def test_label_maps_are_those_of_the_steps(root: Path, tiny_base: Base) -> None:
    plan = lay_out(ReproduceConfig(**config(root, tiny_base)))
    segmenter = samtailor.load(root / "out" / "outline" / "seed-0")
    for file in plan.scored_cases:
        alone, largest = (
            read_saved(folder(root, "plain", name) / "predictions", file, plan.dataset)
            for name in ("none", "largest-component")
        )
        case = read_case(file, None)
        np.testing.assert_array_equal(largest, LargestComponent()(alone, None, case.image.swapaxes(0, 1), None))
        again = read_saved(folder(root, "outline", "outline-16-box") / "predictions", file, plan.dataset)
        expected = segmenter.predict(case, refine=[Outline(points=16, box=True, mask=False)]).label
        np.testing.assert_array_equal(again, expected)


def test_pictures_show_what_helps_and_what_harms(root: Path) -> None:
    text = (root / "out" / "boundaries.md").read_text()
    shown = [line.split("](")[1][:-1] for line in text.splitlines() if line.startswith("![")]
    assert shown
    assert all((root / "out" / name).is_file() for name in shown)
    first, *others = [(row["fit"], row["refinement"]) for row in read(root)["rows"]]
    for fit, name in others:
        before, after = read_results([folder(root, *first), folder(root, fit, name)], "dsc", "test")
        change = dict(zip(before.cases, after.case_means() - before.case_means(), strict=True))
        for role, case in (
            ("gain", max(change, key=lambda c: change[c])),
            ("loss", min(change, key=lambda c: change[c])),
        ):
            is_there = change[case] > 0 if role == "gain" else change[case] < 0
            told = f"largest {role} of {fit}, {name}: {change[case]:+.4f} ({case})."
            assert (told in text) == is_there
            assert (f"boundaries/{fit}-{name}-{role}.png" in shown) == is_there


@pytest.fixture
def elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What another machine has made, without checkpoints; paths, times and device differ. Pages have no pictures."""
    monkeypatch.setattr(boundaries, "pictures", lambda _: ())
    there = tmp_path / "there"
    shutil.copytree(root, there, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    for number, path in enumerate(sorted(there.rglob("*"), reverse=True)):
        os.utime(path, (number, number))
    for file in there.rglob("config.yaml"):
        file.write_text(file.read_text().replace("device: auto", "device: cuda"))
    return there


def test_what_another_machine_has_made_counts(
    elsewhere: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(refined, "segment", refuse)
    monkeypatch.setattr(refined, "measure", refuse)
    before = read(elsewhere)
    plan = lay_out(ReproduceConfig(**config(elsewhere, tiny_base)))
    assert [cell.state() for cell in plan.fits] == ["done", "done"]
    reproduce(**config(elsewhere, tiny_base))
    assert read(elsewhere) | {"schedule": ""} == before | {"schedule": ""}


def test_a_training_begun_elsewhere_goes_on_here(elsewhere: Path, tiny_base: Base) -> None:
    (cell,) = lay_out(ReproduceConfig(**config(elsewhere, tiny_base, columns=["plain"]))).fits
    history = cell.run.history()
    gone = yaml.safe_load(cell.run.config_file.read_text()) | {"data": "/nowhere", "device": "cuda"}
    shutil.rmtree(cell.run.segmenter_directory)
    cell.run.history_file.unlink()
    cell.run.write_config(gone)
    assert cell.state() == "interrupted"
    cell.make()
    assert [row["loss"] for row in cell.run.history()] == [row["loss"] for row in history]


def test_a_case_is_shown_to_the_network_once_for_all_label_steps(
    elsewhere: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in elsewhere.rglob("refined"):
        shutil.rmtree(file)
    passes: list[tuple[str, int]] = []
    segment = refined.segment

    def counted(predictor: Any, case: Any, **settings: Any) -> Any:
        passes.append((case.name, len(predictor.second_passes)))
        return segment(predictor, case, **settings)

    monkeypatch.setattr(refined, "segment", counted)
    reproduce(**config(elsewhere, tiny_base))
    for name in ("tile_4", "tile_5"):
        assert passes.count((name, 0)) == 2  # one of each fit
        assert passes.count((name, 1)) == 1 + 19


@pytest.mark.usefixtures("crf")
def test_what_is_not_installed_is_missing_and_made_later(
    elsewhere: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder(elsewhere, "plain", "crf"))
    with monkeypatch.context() as patch:

        def refuse(_: Any) -> None:
            raise ConfigError("crf: expected pydensecrf2, found none")

        patch.setattr(STEPS["crf"], "require_ready", refuse)
        reproduce(**config(elsewhere, tiny_base))
        content = read(elsewhere)
        assert content["missing"] == ["Without plain, crf: crf: expected pydensecrf2, found none."]
        assert "crf" not in [row["refinement"] for row in content["rows"]]
        assert "Without plain, crf" in (elsewhere / "out" / "boundaries.md").read_text()
    reproduce(**config(elsewhere, tiny_base))
    assert "crf" in [row["refinement"] for row in read(elsewhere)["rows"]]


def test_other_steps_or_weights_are_measured_anew(elsewhere: Path, tiny_base: Base) -> None:
    (elsewhere / "settings.yaml").write_text(
        yaml.safe_dump(
            yaml.safe_load((elsewhere / "settings.yaml").read_text())
            | {"datasets": {"gid5": {"refinements": {"outline": [{"kind": "outline", "points": 4, "mask": False}]}}}}
        )
    )
    reproduce(**config(elsewhere, tiny_base))
    rows = {(row["fit"], row["refinement"]): row for row in read(elsewhere)["rows"]}
    for fit in ("plain", "outline"):
        (step,) = rows[fit, "outline"]["steps"]
        assert (step["points"], step["mask"]) == (4, False)
        scored = read_json(folder(elsewhere, fit, "outline") / "metrics.json", dict, "")
        assert scored["source"]["made_by"]["steps"] == [step]
        made = read_json(folder(elsewhere, fit, "outline") / "made.json", dict, "")
        assert made["made_by"]["steps"] == [step]


def test_without_the_plain_fit_there_is_nothing_to_measure_against(elsewhere: Path, tiny_base: Base) -> None:
    with pytest.raises(ConfigError, match="expected the fit plain, which everything is measured against"):
        reproduce(**config(elsewhere, tiny_base, columns=["outline"]))


def test_a_column_that_is_none_is_refused(elsewhere: Path, tiny_base: Base) -> None:
    with pytest.raises(ConfigError, match="columns: expected some of plain, outline; found 'lora-4'"):
        reproduce(**config(elsewhere, tiny_base, columns=["lora-4"]))


def test_volumes_are_measured_in_mm(tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = boundaries.rows_of
    monkeypatch.setattr(boundaries, "rows_of", lambda plan: (rows(plan)[0][:2], []))  # the others take long
    miniatures.btcv(tmp_path / "btcv")
    settings(tmp_path / "settings.yaml")
    reproduce(**config(tmp_path, tiny_base, data=str(tmp_path / "btcv"), columns=["plain"]))
    first, other = read(tmp_path)["rows"]
    assert list(first["scores"]) == ["dsc", "iou", "nsd", "hd95"]
    assert list(other["against"]) == ["dsc", "nsd"]
    assert "Without outline" not in (tmp_path / "out" / "boundaries.md").read_text()


def test_the_table_tries_every_method_of_the_level_sets() -> None:
    chosen = [
        step
        for setting in load_experiment("boundaries").schedule.refinements.values()
        for step in REFINE.chosen(setting)
    ]
    kind = STEPS["level-set"]
    methods = {vars(step)["method"] for step in chosen if isinstance(step, kind)}
    assert methods == set(get_args(hints_of(kind)["method"]))
