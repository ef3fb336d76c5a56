"""Curves of a training."""

from __future__ import annotations

from samtailor.reporting.curves import curves_figure
from tests.reporting.drawn import pixels


def test_curves_are_drawn_even_where_not_every_epoch_was_validated() -> None:
    rows = [
        {"epoch": 1, "loss": 1.0},
        {"epoch": 2, "loss": 0.5, "dsc/background": 0.9, "dsc/liver": 0.4, "dsc": 0.4},
    ]
    figure = curves_figure(rows)
    loss, dsc = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 1], [2, 0.5]]  # type: ignore[union-attr]
    assert [text.get_text() for text in dsc.get_legend().get_texts()] == ["liver", "mean"]  # type: ignore[union-attr]
    assert all(line.get_xydata().tolist() == [[2, 0.4]] for line in dsc.lines)  # type: ignore[union-attr]
    assert len(set(map(bytes, pixels(figure).reshape(-1, 3)))) > 10


def test_a_training_that_was_not_validated_yet_and_one_of_many_classes_can_be_drawn() -> None:
    assert not curves_figure([{"epoch": 1, "loss": 1.0}]).axes[1].lines[0].get_xydata().size  # type: ignore[union-attr]
    many: dict[str, float] = {"epoch": 1, "loss": 1.0, "dsc": 0.5} | {f"dsc/{k}": 0.5 for k in range(22)}
    assert len(curves_figure([many]).axes[1].lines) == 1
