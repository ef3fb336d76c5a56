"""Figures are saved whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from samtailor.reporting.figures import save_figure


@pytest.mark.parametrize("dpi", [160, 50])
def test_saved_figures_are_png_files_and_leave_nothing_else(dpi: int, tmp_path: Path) -> None:
    save_figure(Figure(figsize=(2, 1)), tmp_path / "deep" / "figure.png", dpi)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "deep" / "figure.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (2 * dpi, dpi))
