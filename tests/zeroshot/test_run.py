"""A baseline over a data set: its scores, what it writes, and that it goes on where it was interrupted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.errors import ConfigError, SamTailorError
from samtailor.models.zoo import Base
from samtailor.zeroshot import run as module
from samtailor.zeroshot.generator import MaskGenerator
from samtailor.zeroshot.settings import Kind

FEW: dict[str, Any] = {
    "points_per_side": 3,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "bootstrap": 20,
}
SENTENCE = "upper bound, uses the ground truth"


def pictures(folder: Path, base: Base, out: Path, **settings: Any) -> Any:
    return samtailor.baseline(folder, out=out, base=base.name, **{**FEW, **settings})


class TestOracle:
    def test_every_file_says_that_it_is_an_upper_bound(
        self, image_folder: Path, tiny_base: Base, tmp_path: Path
    ) -> None:
        scores = pictures(image_folder, tiny_base, tmp_path / "out")
        assert scores.upper_bound.startswith(SENTENCE)
        for name in ("metrics.json", "metrics.csv", "metrics.md", "slices.csv"):
            assert SENTENCE in (tmp_path / "out" / name).read_text().lower()
        content = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert content["source"]["base"] == tiny_base.name
        assert (tmp_path / "out" / "overlay_best.png").is_file()

    def test_takes_the_best_mask_of_each_class(self, image_folder: Path, tiny_base: Base, tmp_path: Path) -> None:
        pictures(image_folder, tiny_base, tmp_path / "out")
        rows = list(csv.DictReader((tmp_path / "out" / "slices.csv").open()))
        names = ["background", "field", "water"]
        case = rows[0]["case"]
        truth = np.asarray(Image.open(image_folder / "masks" / f"{case}.png"))
        records = samtailor.masks_everything(
            image_folder / "images" / f"{case}.png",
            tiny_base.name,
            **{name: value for name, value in FEW.items() if name != "bootstrap"},
        )
        for row in (row for row in rows if row["case"] == case):
            region = truth == names.index(row["class"])
            dice = [2 * (r.segmentation & region).sum() / (r.area + region.sum()) for r in records]
            assert float(row["dsc"]) == pytest.approx(max(dice), abs=1e-6)

    def test_counts_of_slices_are_summed_over_the_volume(
        self, nnunet_folder: Path, tiny_base: Base, tmp_path: Path
    ) -> None:
        scores = pictures(nnunet_folder, tiny_base, tmp_path / "out")
        rows = list(csv.DictReader((tmp_path / "out" / "slices.csv").open()))
        for k, name in enumerate(scores.labels.names):
            of_class = [row for row in rows if row["class"] == name]
            assert scores.counts.tp[0, k] == sum(int(row["overlap_pixels"]) for row in of_class)
            assert scores.counts.truth[0, k] == sum(int(row["truth_pixels"]) for row in of_class)
        written = nib.load(tmp_path / "out" / "predictions" / "case_5.nii.gz")
        assert written.shape == (32, 24, 6)

    def test_a_sample_of_slices_is_seeded_and_said(self, nnunet_folder: Path, tiny_base: Base, tmp_path: Path) -> None:
        first = pictures(nnunet_folder, tiny_base, tmp_path / "a", slices=2, seed=3)
        second = pictures(nnunet_folder, tiny_base, tmp_path / "b", slices=2, seed=3)
        assert np.array_equal(first.counts.tp, second.counts.tp)
        assert "2 slices with foreground drawn with seed 3" in first.upper_bound
        assert "nsd" not in first.metrics  # single slices have no surfaces


@pytest.mark.parametrize("kind", ["box", "point", "points"])
def test_prompts_from_the_truth(any_base: Base, image_folder: Path, tmp_path: Path, kind: Kind) -> None:
    scores = pictures(image_folder, any_base, tmp_path / "out", kind=kind, slices=1)
    assert scores.upper_bound.startswith(SENTENCE)
    assert scores.source["kind"] == kind


class TestGoingOn:
    def test_an_interrupted_baseline_computes_only_what_is_missing(
        self, image_folder: Path, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = pictures(image_folder, tiny_base, tmp_path / "whole")
        generate, calls = MaskGenerator.generate, []

        def stops(self: MaskGenerator, *arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return generate(self, *arguments)

        monkeypatch.setattr(MaskGenerator, "generate", stops)
        with pytest.raises(KeyboardInterrupt):
            pictures(image_folder, tiny_base, tmp_path / "out")
        calls.append(1)
        again = pictures(image_folder, tiny_base, tmp_path / "out")
        assert np.array_equal(again.counts.tp, whole.counts.tp)
        assert len(calls) - 3 == len(whole.cases) - 1

    def test_a_finished_one_returns_at_once(
        self, image_folder: Path, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = pictures(image_folder, tiny_base, tmp_path / "out")
        monkeypatch.setattr(module, "load_base", None)
        again = pictures(image_folder, tiny_base, tmp_path / "out")
        assert again.to_json() == first.to_json()

    def test_other_settings_are_refused(self, image_folder: Path, tiny_base: Base, tmp_path: Path) -> None:
        pictures(image_folder, tiny_base, tmp_path / "out", slices=1)
        with pytest.raises(ConfigError, match="points_per_side"):
            pictures(image_folder, tiny_base, tmp_path / "out", slices=1, points_per_side=2)

    def test_a_folder_with_other_files_is_refused(self, image_folder: Path, tiny_base: Base, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
        with pytest.raises(ConfigError, match="new or empty directory"):
            pictures(image_folder, tiny_base, tmp_path / "out")


def test_the_verb(image_folder: Path, tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["baseline", str(image_folder), "--base", tiny_base.name, "--out", str(out), "--slices", "1"]
    flags = [f"--{name}={value}" for name, value in FEW.items()]
    assert main([*words, *flags, "--multimask_output", "false"]) == 0
    assert SENTENCE in capsys.readouterr().out.lower()
    assert yaml.safe_load((out / "config.yaml").read_text())["multimask_output"] is False
    assert main([*words, *flags, "--kind", "circle"]) == 2


def test_nothing_is_written_where_the_base_is_unknown(image_folder: Path, tmp_path: Path) -> None:
    assert main(["baseline", str(image_folder), "--base", "sam-vit-x", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_other_weights_under_one_name_make_another_baseline(
    tiny_base: Base, image_folder: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "mine.pth"
    state = torch.load(str(tiny_base.weights), weights_only=True)
    torch.save(state, weights)
    scores = pictures(image_folder, tiny_base, tmp_path / "out", weights=weights, slices=1)
    assert pictures(image_folder, tiny_base, tmp_path / "out", weights=weights, slices=1).counts.tp.tolist() == (
        scores.counts.tp.tolist()
    )
    torch.save({name: value + 0.1 for name, value in state.items()}, weights)
    with pytest.raises(ConfigError, match="found other weights_sha256; name another folder"):
        pictures(image_folder, tiny_base, tmp_path / "out", weights=weights, slices=1)


def test_what_cannot_be_leaves_nothing_that_refuses_what_can(
    tiny_base: Base, image_folder: Path, tmp_path: Path
) -> None:
    torch.save({"other": torch.zeros(3)}, tmp_path / "wrong.pth")
    with pytest.raises(SamTailorError, match=r"wrong\.pth"):
        pictures(image_folder, tiny_base, tmp_path / "out", weights=tmp_path / "wrong.pth", slices=1)
    assert not (tmp_path / "out" / "config.yaml").exists()
    pictures(image_folder, tiny_base, tmp_path / "out", slices=1)
