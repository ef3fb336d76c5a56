"""Robustness is measured under every corruption and severity, kept as it goes, and compared with a baseline's."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samtailor.cli import main
from samtailor.data.dataset import Dataset
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError, SamTailorError
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.robustness import study
from samtailor.evaluation.robustness.results import RESULTS, Robustness
from samtailor.evaluation.robustness.robustness import robustness
from samtailor.evaluation.robustness.study import chosen, some_slices
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import save_practice
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter
from samtailor.refinement.largest_component import LargestComponent
from tests import generate
from tests.data.corruptions.test_corruptions import scan
from tests.evaluation.test_evaluate import make_run


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conditions that are computed, not taken up again."""
    found: list[str] = []
    original = study.Study._scores

    def scores(self: study.Study, predictor: Any, damage: Any) -> Any:
        found.append("clean" if damage is None else f"{next(iter(damage.corruptions))}-{damage.severities[0]}")
        return original(self, predictor, damage)

    monkeypatch.setattr(study.Study, "_scores", scores)
    return found


@pytest.fixture
def run(tmp_path: Path, tiny_base: Base, nnunet_folder: Path) -> Path:
    return make_run(tmp_path / "run", tiny_base, nnunet_folder)


def changed(run: Path, directory: Path, seed: int = 0) -> Path:
    """A copy of a run with another segmenter."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(run, directory)
    weights = directory / "segmenter" / "weights.safetensors"
    generator = np.random.default_rng(seed)
    state = {name: value * float(generator.uniform(-1, 1)) for name, value in load_file(weights).items()}
    save_file(state, weights)
    return directory


def test_scores_are_those_of_evaluate(run: Path, nnunet_folder: Path, computed: list[str]) -> None:
    result = robustness(run, nnunet_folder, corruptions="gaussian,contrast", seed=4)
    assert computed == ["clean", *(f"{name}-{s}" for name in ("gaussian", "contrast") for s in range(1, 6))]
    (curves,) = result.dsc.values()
    assert curves.shape == (2, 6)
    clean = evaluate(run, nnunet_folder)
    assert curves[0, 0] == curves[1, 0] == clean.summary("dsc").without_background.value
    noisy = evaluate(run, nnunet_folder, corrupt="contrast", severity=4, corrupt_seed=4)
    assert curves[1, 4] == noisy.summary("dsc").without_background.value != curves[1, 0]
    assert np.isnan(result.mce("run"))


def test_files_say_what_was_measured(run: Path, nnunet_folder: Path, tmp_path: Path) -> None:
    base = changed(run, tmp_path / "base")
    result = robustness(run, nnunet_folder, baseline=base, corruptions="blur,streaks", out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(RESULTS)
    content = json.loads((tmp_path / "out" / "robustness.json").read_text())
    assert list(content["runs"]) == ["run", "base"]
    assert content["baseline"] == "base"
    assert content["cases"] == ["case_5"]
    assert content["runs"]["base"]["mce"] == pytest.approx(1)
    blur = content["runs"]["run"]["corruptions"]["blur"]
    assert blur["dsc"] == result.dsc["run"][0, 1:].tolist()
    with (tmp_path / "out" / "robustness.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * (1 + 2 * 5)
    assert rows[0] == {"run": "run", "corruption": "none", "severity": "0", "dsc": f"{result.clean('run'):.6f}"}
    for text in ((tmp_path / "out" / "robustness.md").read_text(), (tmp_path / "out" / "robustness.html").read_text()):
        assert "1 case of nnunet, split test" in text
        assert "synthetic" in text
    with pytest.raises(ConfigError, match="expected no earlier results there"):
        robustness(run, nnunet_folder, corruptions="blur", out=tmp_path / "out")


def test_what_is_known_is_not_computed_again(
    run: Path, nnunet_folder: Path, tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = study.measure
    left = iter(range(3))

    def interrupted(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(study, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            robustness(run, nnunet_folder, corruptions="gaussian,blur")
    assert computed == ["clean", "gaussian-1", "gaussian-2", "gaussian-3"]
    computed.clear()
    resumed = robustness(run, nnunet_folder, corruptions="gaussian,blur")
    assert computed == ["gaussian-3", "gaussian-4", "gaussian-5", *(f"blur-{s}" for s in range(1, 6))]
    computed.clear()
    robustness(run, nnunet_folder, corruptions="blur,contrast")
    assert computed == [f"contrast-{s}" for s in range(1, 6)]
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "evaluation")
    whole = robustness(copy, nnunet_folder, corruptions="gaussian,blur")
    np.testing.assert_array_equal(whole.dsc["copy"], resumed.dsc["run"])


def test_what_belongs_to_something_else_is_not_taken_up(
    run: Path, nnunet_folder: Path, tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(where: Path = run, **settings: Any) -> list[str]:
        computed.clear()
        robustness(where, nnunet_folder, corruptions="blur", **settings)
        return list(computed)

    damaged = [f"blur-{severity}" for severity in range(1, 6)]
    assert again() == ["clean", *damaged]
    assert again() == []
    assert again(seed=1) == damaged  # nothing about clean images is random
    assert again(slices=2) == ["clean", *damaged]
    assert again(protocol="flare22") == ["clean", *damaged]
    assert again(refine="largest-component") == ["clean", *damaged]
    assert again(precision="bf16") == ["clean", *damaged]
    assert again(batch_size=3) == []
    other = changed(run, tmp_path / "other")
    assert again(other) == ["clean", *damaged]
    with monkeypatch.context() as patch:
        patch.setattr(study, "VERSION", "99")
        assert again() == ["clean", *damaged]
    for kept in (run / "evaluation" / "test-robustness" / "kept").glob("*/blur-2.json"):
        kept.write_text("{")
    assert again() == ["blur-2"]
    hu, _ = generate.volume((32, 24, 6), seed=99)
    generate.write_volume(nnunet_folder / "imagesTs" / "case_5_0000.nii.gz", hu)
    assert again() == ["clean", *damaged]


def test_cases_are_drawn_by_the_seed_and_slices_have_labels(
    run: Path, nnunet_folder: Path, tmp_path: Path, tiny_base: Base, image_folder: Path
) -> None:
    pictures = make_run(tmp_path / "pictures", tiny_base, image_folder)
    result = robustness(pictures, image_folder, corruptions="blur", cases=1, seed=3)
    assert "1 case of images, split test, drawn of 2 by seed 3." in str(result)
    files: Sequence[Any] = list("abcdefghij")
    draws = [chosen(files, 4, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert list(draws[0]) == sorted(draws[0])
    assert chosen(files, 99, 0) == tuple(files)
    case = replace(scan(20), label=np.zeros((20, 48, 56), np.int16))
    assert case.label is not None
    case.label[5:16, 3, 3] = 1
    assert [int(plane.sum()) for plane in some_slices(case, 3).label] == [1, 1, 1]  # type: ignore[union-attr]
    assert some_slices(case, 3).image.shape[1] == 3
    np.testing.assert_array_equal(some_slices(case, 3).image, case.image[:, [6, 10, 14]])
    assert some_slices(case, 50).image.shape[1] == 11
    case.label[:] = 0
    assert some_slices(case, 4).image.shape[1] == 4
    assert "of each volume 2 slices" in str(robustness(run, nnunet_folder, corruptions="blur", slices=2))


def test_runs_are_listed_once_and_the_baseline_may_be_one_of_them(
    run: Path, nnunet_folder: Path, tmp_path: Path, computed: list[str]
) -> None:
    other = changed(run, tmp_path / "other")
    result = robustness(run, nnunet_folder, others=[other, run], baseline=other, corruptions="contrast")
    assert list(result.dsc) == ["run", "other"]
    assert result.baseline == "other"
    assert len(computed) == 12
    assert result.mce("other") == pytest.approx(1)
    assert result.mce("run") == pytest.approx(
        (5 - result.dsc["run"][0, 1:].sum()) / (5 - result.dsc["other"][0, 1:].sum())
    )


def made(**curves: list[list[float]]) -> Robustness:
    names = ("blur", "jpeg")
    dsc = {name: np.array(values) for name, values in curves.items()}
    return Robustness(names, dsc, "base", "data", "test", ("a",), 1, None, "nnunet", 0)


def test_corruption_errors_by_hand() -> None:
    result = made(
        base=[[0.8, 0.7, 0.6, 0.5, 0.4, 0.3], [0.8, 0.8, 0.8, 0.8, 0.8, 0.8]],
        run=[[0.9, 0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.9, 0.9, 0.9, 0.9, 0.4]],
    )
    np.testing.assert_allclose(result.corruption_errors("run"), [1.5 / 2.5, 1.0 / 1.0])
    assert result.mce("run") == pytest.approx((0.6 + 1.0) / 2)
    # The baseline loses nothing under jpeg: there is nothing to be relative to.
    np.testing.assert_allclose(result.corruption_errors("run", relative=True), [1.0 / 1.5, np.nan])
    assert result.mce("run", relative=True) == pytest.approx(1.0 / 1.5)
    assert result.mce("base") == result.mce("base", relative=True) == 1
    assert result.corrupted("run") == pytest.approx((3.5 + 4.0) / 10)
    row = result.tables()[0].rows[1]
    assert row == ("run", "0.9000", "0.7500", "0.1500", "0.8000", "0.6667")
    assert result.to_json()["runs"]["run"]["corruptions"]["jpeg"]["relative_ce"] is None
    assert "│ jpeg" in str(result)


def test_scores_that_are_not_defined_are_no_numbers_anywhere() -> None:
    nothing = [[float("nan")] * 6] * 2
    result = made(base=nothing, run=nothing)
    assert np.isnan(result.mce("run"))
    assert result.to_json()["runs"]["run"]["clean_dsc"] is None
    assert result.to_csv().splitlines()[1] == "base,none,0,"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corruptions": "fog"}, "corruptions: expected 'auto', 'none' or some of .*; found 'fog'"),
        ({"corruptions": "none"}, "corruptions: expected at least one, found 'none'"),
        ({"cases": 0}, "cases: expected a whole number from 1"),
        ({"refine": "magic"}, "refine: expected one of"),
        ({"slices": 2, "refine": "smallest"}, "refine: expected no steps that change the label.*; found smallest"),
        ({"slices": 2, "protocol": "flare22"}, "protocol: expected one without ranges of slices.*found flare22"),
        ({"baseline": "nowhere"}, "nowhere"),
        ({"others": ["nowhere"]}, "nowhere"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(
    run: Path, nnunet_folder: Path, computed: list[str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SamTailorError, match=message):
        robustness(run, nnunet_folder, **settings)
    assert computed == []
    assert not (run / "evaluation").exists()


def test_runs_of_other_classes_are_refused_by_name(
    run: Path, nnunet_folder: Path, tmp_path: Path, tiny_base: Base, computed: list[str]
) -> None:
    labels = LabelSpace.from_names(("background", "liver", "tumour"))
    other = make_run(tmp_path / "other", tiny_base, nnunet_folder, labels)
    with pytest.raises(ConfigError, match=r"other: expected a run of .*liver, spleen; found .*tumour"):
        robustness(run, nnunet_folder, baseline=other)
    assert computed == []


@pytest.mark.parametrize("step", [LargestComponent, GaussianDenoising])
def test_a_saved_step_that_cannot_work_here_is_refused_before_any_work(
    run: Path, nnunet_folder: Path, tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch, step: type
) -> None:
    model = study.load_model(run)
    preprocessing = replace(model.preprocessing, steps=(GaussianDenoising(),))
    saved = Practice(refinement=({"kind": "largest-component"},))
    other = study.SegmenterModel.create(model.base.base, model.recipe, model.labels, preprocessing, practice=saved)
    shutil.copytree(run, tmp_path / "other")
    other.save(tmp_path / "other" / "segmenter")

    def lacking(_: object) -> None:
        raise ConfigError("pip install it")

    monkeypatch.setattr(step, "require_ready", lacking)
    with pytest.raises(ConfigError, match="pip install it"):
        robustness(run, nnunet_folder, others=[tmp_path / "other"])
    assert computed == []


def test_slices_are_for_volumes_that_are_seen_slice_by_slice(
    run: Path, nnunet_folder: Path, tmp_path: Path, tiny_base: Base, image_folder: Path
) -> None:
    pictures = make_run(tmp_path / "pictures", tiny_base, image_folder)
    with pytest.raises(ConfigError, match="slices: expected volumes, found pictures"):
        robustness(pictures, image_folder, slices=2)
    model = study.load_model(run)
    deep = study.SegmenterModel.create(tiny_base.name, Adapter(depth=True), model.labels, model.preprocessing)
    neighbours = replace(model.preprocessing, neighbours=True)
    joined = study.SegmenterModel.create(tiny_base.name, Adapter(), model.labels, neighbours)
    for other in (deep, joined):
        other.save(run / "segmenter")
        with pytest.raises(ConfigError, match="slices: expected runs that see each slice alone"):
            robustness(run, nnunet_folder, slices=2)


def test_single_slices_have_no_ranges(run: Path, nnunet_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dataset, "protocol", "flare22")
    assert robustness(run, nnunet_folder, corruptions="blur", slices=2).protocol == "nnunet"
    assert robustness(run, nnunet_folder, corruptions="blur").protocol == "flare22"


def test_single_slices_are_scored_as_the_network_labels_them(run: Path, nnunet_folder: Path) -> None:
    """An object that the volume holds together is in pieces in some of its slices."""
    plain = robustness(run, nnunet_folder, corruptions="blur", slices=2)
    save_practice(run / "segmenter", refinement=({"kind": "largest-component"},))
    refined = robustness(run, nnunet_folder, corruptions="blur", slices=2)
    np.testing.assert_array_equal(refined.dsc["run"], plain.dsc["run"])
    assert "as the network labels them" in refined.scope()


def test_an_mr_corruption_of_colour_pictures_works(tmp_path: Path, tiny_base: Base, image_folder: Path) -> None:
    run = make_run(tmp_path / "run", tiny_base, image_folder)
    result = robustness(run, image_folder, corruptions="rician,ghosting", cases=1)
    assert not np.isnan(result.dsc["run"]).any()


def test_the_command_line_prints_the_tables(
    run: Path, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["robustness", str(run), str(nnunet_folder), "--corruptions", "blur", "--others", str(run)]
    assert main(words) == 0
    assert "blur" in capsys.readouterr().out
    assert main([*words, "--corruptions", "fog"]) == 2
    assert "found 'fog'" in capsys.readouterr().err
