"""The confusion matrix as a figure: which classes are taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.labels import LabelSpace


def confusion_figure(matrix: NDArray[np.int64], labels: LabelSpace, title: str = "") -> Figure:
    """Share of the pixels of each true class (row) that are predicted as each class (column), in percent.

    Args:
        matrix: Pixels of true (row) and predicted class, (K, K); the row of a class without pixels stays empty.
        labels: Label space.
        title: Heading, if any.
    """
    classes = len(labels)
    pixels = matrix.sum(axis=1, keepdims=True)
    shares = np.where(pixels > 0, 100 * matrix / np.maximum(pixels, 1), np.nan)
    side = max(2.6, 0.55 * classes)
    margin = 0.075 * max(map(len, labels.names))
    figure = Figure(figsize=(side + margin + 1.0, side + margin + 0.7 + 0.18 * title.count("\n")), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            text = f"{share:.1f}" if share < 99.95 else "100"
            colour = "white" if share > 55 else "0.15"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(classes), labels.names, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(classes), labels.names, fontsize=9)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title or "% of each true class's pixels", fontsize=9)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure
