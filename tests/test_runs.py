"""A run knows its own files and history: nobody else spells a path inside it."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from pathlib import Path

import pytest

from samtailor.errors import ConfigError
from samtailor.runs import CrossValidation, Run, best_of, is_over, smoothed

ROWS = [
    {"epoch": 1, "loss": 1.5},
    {"epoch": 2, "loss": 1.0, "dsc": 0.3, "dsc/liver": 0.3},
    {"epoch": 3, "loss": 0.5, "dsc": 0.4, "dsc/liver": 0.4},
    {"epoch": 4, "loss": 0.4, "dsc": 0.3, "dsc/liver": 0.3},
]


def test_the_history_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.history() == []
    assert run.best_epoch() is None
    run.write_history(ROWS)
    assert run.history() == ROWS


def test_the_best_epoch_is_found_in_the_history(tmp_path: Path) -> None:
    Run(tmp_path).write_history(ROWS)
    assert Run(tmp_path).best_epoch() == ROWS[2]


def rows_of(*scores: float | None) -> list[dict[str, float]]:
    """An epoch for each score; None is an epoch without validation, or one that could measure nothing."""
    return [{"epoch": i} if score is None else {"epoch": i, "dsc": score} for i, score in enumerate(scores, start=1)]


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.1, 0.3, 0.2], 2),
        ([0.1, 0.3, 0.3], 3),
        ([0.3, 0.3, 0.3], 1),
        ([0.1, 0.9, 0.7, 0.8, 0.8], 5),  # the second was best by chance: 0.1, 0.5, 0.6, 0.7, 0.75
        ([0.1, 0.9, 0.5, 0.4], 2),  # what falls for good was better before
        ([None, 0.3, None, 0.2, None], 2),
        ([0.0, 0.0, 0.0], 3),
        ([0.0, 0.0, 0.1], 3),
        ([0.0, 0.1, 0.0], 2),
        ([0.0, None], 2),
        ([None, None], 2),
    ],
)
def test_the_epoch_that_is_kept_is_the_best_and_the_last_where_nothing_tells_them_apart(
    scores: list[float | None], kept: int
) -> None:
    best = best_of(rows_of(*scores))
    assert best is not None
    assert best["epoch"] == kept


def test_a_score_counts_half_and_those_before_it_as_much() -> None:
    assert smoothed([0.5, 0.75, 0.25]) == [0.5, 0.625, 0.4375]
    assert smoothed([]) == []


@pytest.mark.parametrize(
    ("scores", "patience", "over"),
    [
        ([0.1] * 9, None, False),
        ([0.1] * 10, None, True),
        ([], 1, False),
        ([0.1], 1, False),
        ([0.1, 0.1], 1, True),
        ([0.1, 0.1], 2, False),
        ([0.1, 0.2], 1, False),
        ([0.2, 0.1, 0.15], 2, True),
        ([0.0, 0.0, 0.0], 2, True),
        ([None, 0.2, None, 0.1], 3, False),
        ([None, 0.2, None, 0.1, None, 0.1], 3, True),
        ([None, 0.2, None, 0.1, None], 2, True),
        ([None, 0.2, None, None], 2, False),
        ([None] * 9, 1, False),
    ],
)
def test_patience_is_counted_in_epochs_from_the_one_that_is_kept(
    scores: list[float | None], patience: int | None, over: bool
) -> None:
    assert is_over(rows_of(*scores), 10, patience) == over


def test_a_run_without_a_validation_that_measures_says_which_epoch_it_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_history([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}])
    assert "the segmenter is that of epoch 2" in str(run)


def test_a_run_says_where_everything_is_and_what_comes_next(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_history(ROWS)
    run.write_config({"data": "scans"})
    text = str(run)
    assert "kept              epoch 3, validation mean DSC 0.4000" in text
    assert f"samtailor evaluate {tmp_path} scans --split test" in text
    content = json.loads(json.dumps(run.to_json()))
    assert content == {"directory": str(tmp_path), "best_epoch": ROWS[2], "history": ROWS, "warning": None}


def test_a_run_shows_itself_in_a_line_and_by_its_curves(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert repr(run) == f"<Run in {tmp_path}: 0 epochs>"
    assert "<img" not in run._repr_html_()
    run.write_history([{"epoch": 1, "loss": 1, "dsc": 0.25}])
    run.curves_file.write_bytes(b"a picture")
    assert repr(run) == f"<Run in {tmp_path}: 1 epoch, validation DSC 0.2500>"
    html = run._repr_html_()
    assert f'src="data:image/png;base64,{base64.b64encode(b"a picture").decode()}"' in html
    assert "epoch 1, validation mean DSC 0.2500" in html


def test_names_are_text_where_a_notebook_shows_a_run(tmp_path: Path) -> None:
    folds = CrossValidation(tmp_path / "<script>")
    for fold in range(2):
        folds.run(fold).directory.mkdir(parents=True)
        folds.run(fold).write_config({"data": "scans", "fold": fold, "epochs": 1, "patience": None})
    for shown in (folds, folds.run(0)):
        assert "<script" not in shown._repr_html_()
        assert "&lt;script&gt;" in shown._repr_html_()


def test_a_folder_without_config_is_no_run(tmp_path: Path) -> None:
    assert not Run(tmp_path).is_there
    with pytest.raises(ConfigError, match=r"expected a run with config\.yaml, found none"):
        Run(tmp_path).read_config()


def test_one_training_works_in_a_directory_at_a_time(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    here, there = os.pipe()
    with run.alone():
        with pytest.raises(ConfigError, match="expected nobody at work there, found another training"), run.alone():
            pass
        child = os.fork()  # as those that prepare samples; one may outlive a training that was killed
        if not child:
            os.write(there, b"x")
            time.sleep(30)
            os._exit(0)
        os.read(here, 1)
    try:
        with run.alone():
            assert list(run.directory.iterdir()) == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_comes_next_works(tmp_path: Path) -> None:
    run = Run(tmp_path / "a run")
    run.write_config({"data": "my scans"})
    for splits, named in (({"train": ["a"], "val": ["b"]}, "val"), ({"val": ["b"], "test": ["c"]}, "test")):
        run.write_dataset({"root": "", "labels": {}, "splits": splits, "fingerprint": ""})
        assert f"samtailor evaluate '{tmp_path / 'a run'}' 'my scans' --split {named}" in str(run)
