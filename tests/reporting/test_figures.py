"""Figures show names as they are: no formulas, any letters, any bytes."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from samtailor.labels import LabelSpace
from samtailor.reporting.figures import png, save_figure
from samtailor.reporting.overlay import overlay_figure
from samtailor.reporting.plots import box_plot, confusion_figure
from samtailor.reporting.view import View

NAMES = ("$x_$", "a/b\\frac", "w" * 200, "_ø $ $")


@pytest.mark.parametrize("title", ["$5_$6", "a $ b", "no utf-8 " + os.fsdecode(b"\xff"), "two\nlines", "\t\x01"])
@pytest.mark.filterwarnings("error")
def test_names_are_no_formulas(title: str, tmp_path: Path) -> None:
    labels = LabelSpace.from_names(NAMES)
    plane = np.arange(4, dtype=np.int16).reshape(1, 2, 2)
    view = View.from_case(np.zeros((1, 1, 2, 2), np.float16), plane, plane)
    for figure in (
        overlay_figure(view, labels, title),
        box_plot(np.ones((2, 4)), labels, "DSC", title),
        confusion_figure(np.ones((4, 4), np.int64), labels, title),
    ):
        save_figure(figure, tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_a_formula_is_drawn_letter_by_letter() -> None:
    plain, formula = (box_plot(np.ones((2, 4)), LabelSpace.from_names(NAMES), "DSC", text) for text in ("x", "$x$"))
    png(plain), png(formula)
    assert formula.axes[0].title.get_window_extent().width > 2 * plain.axes[0].title.get_window_extent().width


def test_letters_that_no_font_has_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    labels = LabelSpace.from_names(("background", "\U0010fffd"))
    with caplog.at_level(logging.WARNING, "samtailor"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            png(box_plot(np.ones((2, 2)), labels, "DSC"))
    assert len(caplog.records) == 1
    assert "drawn as boxes" in caplog.records[0].getMessage()
