"""Table 3 of the report comes out to the last published digit."""

from __future__ import annotations

import pytest

from samtailor.cli import main
from samtailor.reproduction.table3 import table3


def test_every_figure_is_the_published_one() -> None:
    table = table3()
    assert len(table) == 4
    for method, (published, counted) in table.items():
        assert tuple(round(figure, 1) for figure in counted) == published, method


def test_the_command_prints_both_columns_and_how_they_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table3"]) == 0
    printed = capsys.readouterr().out
    assert "|   95.5 / 2.5 |   95.5 / 2.5 |" in printed
    assert "| 106.1 / 10.8 | 106.1 / 10.8 |" in printed
    assert "count only the adapters as trainable" in printed
    assert "102.5 in total and 9.55 with prompt encoder and head" in printed


def test_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table9"]) == 2
    assert "table3" in capsys.readouterr().err
