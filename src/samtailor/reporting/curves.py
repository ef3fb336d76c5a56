"""The curves of a training: loss and DSC over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

_MOST_CLASSES = 20  # more lines cannot be told apart


def curves_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Training loss of each epoch, and DSC of each class and their mean where it was validated.

    Args:
        rows: Numbers of each epoch (see `samtailor.runs.Run.history`).
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color="tab:blue")
    left.set(xlabel="epoch", ylabel="training loss", title="Loss")
    validated = [row for row in rows if "dsc" in row]
    epochs = [row["epoch"] for row in validated]
    classes = [name for name in (validated[0] if validated else {}) if name.startswith("dsc/")][1:]
    for name in classes if len(classes) <= _MOST_CLASSES else []:
        scores = [row.get(name, math.nan) for row in validated]
        right.plot(epochs, scores, lw=0.8, alpha=0.7, label=name.removeprefix("dsc/"))
    right.plot(epochs, [row["dsc"] for row in validated], color="black", lw=2, label="mean")
    right.set(xlabel="epoch", ylabel="DSC", ylim=(0, 1), title="Validation, whole cases")
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
