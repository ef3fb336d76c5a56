"""Several results on the same cases."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.reporting.comparison import case_figure, class_figure

NOTE = "† oracle: " + "uses the truth " * 20


def test_the_points_of_a_case_are_joined_and_unknown_cases_are_not_counted() -> None:
    values = {"one": np.array([0.5, 0.7, np.nan]), "other": np.array([0.6, 0.8, 0.9])}
    figure = case_figure(values, "DSC", [NOTE])
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["one  (n = 2)", "other  (n = 3)"]
    joined = {tuple(line.get_xdata()) for line in axes.lines if line.get_zorder() == 2 and len(line.get_xdata()) == 2}
    assert {(0.5, 0.6), (0.7, 0.8)} <= joined
    assert axes.get_xlabel() == "DSC"
    assert figure.get_suptitle().replace("\n", " ") == NOTE.strip()


def test_bars_have_their_intervals() -> None:
    means = {"one": np.array([(0.5, 0.4, 0.7)]), "other": np.array([(3.0, 3.0, 3.0)])}
    (axes,) = class_figure(["liver"], means, "DSC", is_share=False).axes
    one, other = axes.containers[1], axes.containers[3]
    assert (one[0].get_width(), other[0].get_width()) == (0.5, 3.0)  # type: ignore[union-attr]
    (segment,) = one.errorbar.lines[2][0].get_segments()  # type: ignore[union-attr]
    assert segment[:, 0].tolist() == pytest.approx([0.4, 0.7])
    assert axes.get_xlim()[1] > 3
    (shares,) = class_figure(["liver"], means, "DSC").axes
    assert shares.get_xlim() == (-0.02, 1.02)
