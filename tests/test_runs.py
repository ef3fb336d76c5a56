"""A run knows its own files and history: nobody else spells a path inside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samtailor.errors import ConfigError
from samtailor.runs import Run

ROWS = [
    {"epoch": 1, "loss": 1.5},
    {"epoch": 2, "loss": 1.0, "dsc": 0.3, "dsc/liver": 0.3},
    {"epoch": 3, "loss": 0.5, "dsc": 0.4, "dsc/liver": 0.4},
    {"epoch": 4, "loss": 0.4, "dsc": 0.4, "dsc/liver": 0.4},
]


def test_the_history_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.history() == []
    assert run.best_epoch() is None
    run.write_history(ROWS)
    assert run.history() == ROWS


def test_the_best_epoch_is_the_first_of_equals(tmp_path: Path) -> None:
    Run(tmp_path).write_history(ROWS)
    assert Run(tmp_path).best_epoch() == ROWS[2]


def test_a_run_says_where_everything_is_and_what_comes_next(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_history(ROWS)
    run.write_config({"data": "scans"})
    text = str(run)
    assert "mean DSC 0.4000 in epoch 3" in text
    assert f"samtailor evaluate {tmp_path} scans --split test" in text
    content = json.loads(json.dumps(run.to_json()))
    assert content == {"directory": str(tmp_path), "best_epoch": ROWS[2], "history": ROWS}


def test_a_folder_without_config_is_no_run(tmp_path: Path) -> None:
    assert not Run(tmp_path).is_there
    with pytest.raises(ConfigError, match=r"expected a run with config\.yaml, found none"):
        Run(tmp_path).read_config()
