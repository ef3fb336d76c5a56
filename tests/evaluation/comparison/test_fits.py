"""A comparison tells what the trainings behind its results were, and shows their cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

import samtailor
from samtailor.evaluation.comparison.fits import fits_table, pictures_of, run_of
from samtailor.evaluation.comparison.results import ScoredResult, read_results
from tests.evaluation.comparison.files import write

PNG = b"\x89PNG not really"


def run_at(folder: Path, lr: float, minutes: float) -> Path:
    """A run of two epochs with 3.5 million trained parameters, evaluated on two cases."""
    scored = write(folder / "evaluation" / "test", {"a": (0.5, 0.5), "b": (0.6, 0.6)})
    for kind in ("best", "median", "worst"):
        (scored / f"overlay_{kind}.png").write_bytes(PNG)
    settings = {"out": str(folder), "base": "lite-medsam", "epochs": 2, "optim": {"lr": lr, "clip": 1.0}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "metrics.csv").write_text(f"epoch,loss,lr,seconds\n1,1,1,{30 * minutes}\n2,1,1,{30 * minutes}\n")
    (folder / "segmenter").mkdir()
    save_file({"a": np.zeros((1000, 3500), np.float16)}, folder / "segmenter" / "weights.safetensors")
    return folder


@pytest.fixture
def results(tmp_path: Path) -> list[ScoredResult]:
    runs = [run_at(tmp_path / "one", 1e-3, 2), run_at(tmp_path / "other", 1e-4, 120)]
    masks = write(tmp_path / "masks", {"a": (0.4, 0.4), "b": (0.7, 0.7)})
    return read_results([*runs, masks], "dsc", "test")


def test_settings_that_differ_time_and_parameters_are_told(results: list[ScoredResult]) -> None:
    table = fits_table(results)
    assert table is not None
    assert table.header == ("fit", "one", "other", "masks")
    assert table.rows == (
        ("epochs trained", "2", "2", "-"),
        ("time in epochs", "2.0 min", "2.0 h", "-"),
        ("trained parameters", "3.50 million", "3.50 million", "-"),
        ("optim.lr", "0.001", "0.0001", "-"),
    )
    assert fits_table(results[2:]) is None


def test_scores_at_the_root_of_a_disk_are_of_no_run(results: list[ScoredResult]) -> None:
    assert run_of(results[0]) is not None
    assert run_of(replace(results[0], file=Path("/metrics.json"))) is None


def test_best_median_and_worst_case_of_each_run_are_shown(results: list[ScoredResult]) -> None:
    captions = [picture.caption for picture in pictures_of(results)]
    assert captions == [f"{name}: {kind} case" for name in ("one", "other") for kind in ("best", "median", "worst")]


def test_the_page_has_both(results: list[ScoredResult], tmp_path: Path) -> None:
    files = [result.file.parent for result in results]
    samtailor.compare(files, out=tmp_path / "out")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert page.count("data:image/png;base64,") == 2 + 6
    assert "3.50 million" in page
    assert len(list((tmp_path / "out" / "cases").iterdir())) == 6
    with pytest.raises(samtailor.SamTailorError, match="overwrite"):
        samtailor.compare(files, out=tmp_path / "out")
