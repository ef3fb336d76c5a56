"""Viewers show classes by their names and colours, read as the viewers read their files."""

from __future__ import annotations

import shlex
from pathlib import Path

from samtailor.data.colour_tables import itk_snap, slicer, write_colours
from samtailor.labels import LabelSpace

LABELS = LabelSpace(
    ("background", "right kidney", 'a "small" vessel'), (0, 7, 300), ((0, 0, 0), (230, 159, 0), (1, 2, 3))
)


def test_itk_snap_gets_an_id_a_colour_and_a_name_for_each_class() -> None:
    rows = [shlex.split(line) for line in itk_snap(LABELS).splitlines() if not line.startswith("#")]
    assert rows == [
        ["0", "0", "0", "0", "0", "0", "0", "background"],
        ["7", "230", "159", "0", "1", "1", "1", "right kidney"],
        ["300", "1", "2", "3", "1", "1", "1", "a 'small' vessel"],
    ]


def test_slicer_gets_names_without_spaces() -> None:
    rows = [line.split() for line in slicer(LABELS).splitlines() if not line.startswith("#")]
    assert rows == [
        ["0", "background", "0", "0", "0", "0"],
        ["7", "right_kidney", "230", "159", "0", "255"],
        ["300", 'a_"small"_vessel', "1", "2", "3", "255"],
    ]


def test_both_are_written(tmp_path: Path) -> None:
    write_colours(tmp_path / "colours", LABELS)
    assert (tmp_path / "colours" / "itk-snap.txt").read_text() == itk_snap(LABELS)
    assert (tmp_path / "colours" / "slicer.ctbl").read_text() == slicer(LABELS)
