"""Box plots have a row for each class, the confusion matrix says what is taken for what, curves end where they must."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from samtailor.labels import LabelSpace
from samtailor.reporting.figures import png
from samtailor.reporting.plots import (
    box_plot,
    case_figure,
    class_figure,
    confusion_figure,
    curves_figure,
    severity_figure,
)
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


def test_a_confusion_matrix_of_many_classes_is_drawn_in_colours_alone_and_in_bounded_size() -> None:
    for count, are_named in ((31, True), (200, True), (1000, False)):
        labels = LabelSpace.from_names(tuple(f"class {k}" for k in range(count)))
        figure = confusion_figure(np.eye(count, dtype=np.int64), labels)
        assert not figure.axes[0].texts
        assert len(figure.axes[0].get_yticks()) == (count if are_named else 0)
        assert max(figure.get_size_inches()) < 25


def test_pixels_of_a_figure_are_bounded() -> None:
    with Image.open(io.BytesIO(png(Figure(figsize=(3, 400))))) as image:
        assert 25e6 < image.width * image.height <= 31e6
    with Image.open(io.BytesIO(png(Figure(figsize=(3, 2)), dpi=100))) as image:
        assert image.size == (300, 200)


def test_rows_are_true_classes_in_percent_and_a_class_without_pixels_is_empty() -> None:
    matrix = np.array([[3, 1, 0], [0, 5, 0], [0, 0, 0]])
    (axes,) = confusion_figure(matrix, LABELS).axes
    found = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert {(x, y): found[x, y] for x, y in found if y == 0} == {(0, 0): "75.0", (1, 0): "25.0", (2, 0): "0.0"}
    assert found[1, 1] == "100"
    assert not any(y == 2 for _, y in found)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(LABELS.names)


def test_curves_are_drawn_even_where_not_every_epoch_was_validated() -> None:
    rows = [
        {"epoch": 1, "loss": 1.0},
        {"epoch": 2, "loss": 0.5, "dsc/background": 0.9, "dsc/liver": 0.4, "dsc": 0.4},
    ]
    figure = curves_figure(rows, LabelSpace.from_names(("background", "liver")), kept=2)
    loss, dsc = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 1], [2, 0.5]]  # type: ignore[union-attr]
    assert [text.get_text() for text in dsc.texts] == ["liver  0.40", "mean  0.40"]
    *scores, kept = dsc.lines
    assert all(line.get_xydata().tolist() == [[2, 0.4]] for line in scores)  # type: ignore[union-attr]
    assert set(kept.get_xdata()) == {2}
    assert dsc.get_title() == "Validation, whole cases; epoch 2 is kept"
    assert len(set(map(bytes, pixels(figure).reshape(-1, 3)))) > 10


def test_names_of_curves_stand_apart_in_the_order_of_their_ends_and_in_the_classes_colours() -> None:
    labels = LabelSpace.from_names(tuple(f"class {k}" for k in range(21)))
    row = {"epoch": 1, "loss": 1.0, "dsc": 0.5} | {f"dsc/class {k}": 0.5 + k / 1000 for k in range(1, 21)}
    texts = curves_figure([row], labels, kept=1).axes[1].texts
    places = [text.get_position()[1] for text in texts]
    assert [text.get_text().split("  ")[0] for text in texts[1:]] == [f"class {k}" for k in range(1, 21)]
    assert np.diff(places).min() >= 1 / 20 - 1e-9
    assert 0 <= places[0] < places[-1] <= 1
    colours = [text.get_color() for text in texts[1:]]
    assert len(set(colours)) == 20
    np.testing.assert_allclose(colours[4], np.array(labels.palette[5]) / 255)  # dark enough as it is
    assert np.dot(colours[3], [0.2126, 0.7152, 0.0722]) == pytest.approx(0.55)  # a yellow


def test_a_background_that_counts_is_drawn_with_its_scores() -> None:
    labels = LabelSpace.from_names(("unlabelled", "water"))
    row = {"epoch": 1, "loss": 1.0, "dsc": 0.5, "dsc/unlabelled": 0.3, "dsc/water": 0.7}
    texts = curves_figure([row], labels, kept=1, has_background=True).axes[1].texts
    assert [text.get_text() for text in texts] == ["unlabelled  0.30", "mean  0.50", "water  0.70"]


def test_a_class_that_no_case_has_is_named_without_a_number() -> None:
    labels = LabelSpace.from_names(("background", "liver"))
    figure = curves_figure([{"epoch": 1, "loss": 1.0, "dsc": math.nan, "dsc/liver": math.nan}], labels, kept=1)
    assert {text.get_text() for text in figure.axes[1].texts} == {"liver  -", "mean  -"}
    assert len(png(figure)) > 1000


def test_the_smoothed_mean_that_chooses_the_epoch_is_drawn_and_named() -> None:
    labels = LabelSpace.from_names(("background", "liver"))
    scores = [0.1, 0.9, 0.7, 0.8, 0.8]
    rows = [{"epoch": i, "loss": 1.0, "dsc": score, "dsc/liver": score} for i, score in enumerate(scores, start=1)]
    axes = curves_figure(rows, labels, kept=5).axes[1]
    (smooth,) = (line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(smooth.get_ydata(), [0.1, 0.5, 0.6, 0.7, 0.75])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["mean, smoothed"]


def test_a_training_that_was_not_validated_yet_and_one_of_many_classes_can_be_drawn() -> None:
    few = LabelSpace.from_names(("background", "liver"))
    scores = curves_figure([{"epoch": 1, "loss": 1.0}], few, kept=1).axes[1].lines[:-1]
    assert not any(line.get_xydata().size for line in scores)  # type: ignore[union-attr]
    labels = LabelSpace.from_names(tuple(f"{k}" for k in range(32)))
    many: dict[str, float] = {"epoch": 1, "loss": 1.0, "dsc": 0.5} | {f"dsc/{k}": 0.5 for k in range(32)}
    assert len(curves_figure([many], labels, kept=1).axes[1].lines) == 3  # the mean, smoothed too, and the kept epoch


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


def test_a_score_over_severities_has_a_panel_for_each_corruption_and_a_curve_for_each_result() -> None:
    curve = np.array([0.9, 0.8, 0.7, np.nan, 0.5, 0.4])
    names = [f"corruption {place}" for place in range(5)]
    figure = severity_figure({name: {"a": curve, "_b": curve / 2} for name in names}, "mean DSC")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == names
    for axes in panels:
        first, second = axes.get_lines()
        np.testing.assert_array_equal(first.get_ydata(), curve)
        np.testing.assert_array_equal(second.get_ydata(), curve / 2)
        assert axes.get_ylim() == panels[0].get_ylim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", " _b"]
    pixels(figure)
    named = [axes for axes in panels if axes.get_xlabel() == "severity"]
    assert named == panels[2:]  # the last of each column
    for axes in named:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["clean", "1", "2", "3", "4", "5"]


def test_one_corruption_fills_a_figure() -> None:
    figure = severity_figure({"blur": {"a": np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])}}, "mean DSC")
    assert len(figure.axes) == 1
    pixels(figure)
