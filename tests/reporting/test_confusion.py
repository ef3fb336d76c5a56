"""The confusion matrix says which share of each class is taken for which."""

from __future__ import annotations

import numpy as np

from samtailor.reporting.confusion import confusion_figure
from tests.evaluation.examples import LABELS


def test_rows_are_true_classes_in_percent_and_a_class_without_pixels_is_empty() -> None:
    matrix = np.array([[3, 1, 0], [0, 5, 0], [0, 0, 0]])
    (axes,) = confusion_figure(matrix, LABELS).axes
    found = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert {(x, y): found[x, y] for x, y in found if y == 0} == {(0, 0): "75.0", (1, 0): "25.0", (2, 0): "0.0"}
    assert found[1, 1] == "100"
    assert not any(y == 2 for _, y in found)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(LABELS.names)
