"""Box plots have a row for each class."""

from __future__ import annotations

import numpy as np

from samtailor.labels import LabelSpace
from samtailor.reporting.box_plot import box_plot
from samtailor.reporting.figures import png
from tests.evaluation.examples import LABELS
from tests.reporting.drawn import is_colour, pixels


def test_box_plots_have_a_row_for_each_foreground_class_in_order() -> None:
    values = np.array([[0.9, 0.5, np.nan], [0.9, 0.7, np.nan]])
    figure = box_plot(values, LABELS, "DSC")
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["liver  (n = 2)", "spleen  (n = 0)"]
    assert axes.yaxis_inverted()
    drawn = pixels(figure)
    assert is_colour(drawn, 1).sum() > 20
    assert is_colour(drawn, 2).sum() == 0


def test_150_classes_fit_in() -> None:
    labels = LabelSpace.from_names(tuple(f"a class with a long name {k}" for k in range(150)))
    figure = box_plot(np.random.default_rng(0).random((3, 150)), labels, "DSC")
    assert len(figure.axes[0].get_yticks()) == 149
    assert len(png(figure)) > 1000
