"""Trainings of a second or two, a fifth of which drawing their curves would take."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

import samtailor.training.recorder as recorder


@pytest.fixture(autouse=True)
def empty_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are drawn in the tests of reporting, and of whole jobs."""
    monkeypatch.setattr(recorder, "curves_figure", lambda *_: Figure())
