"""The demo: the main job from nothing to a report, on a synthetic abdominal CT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.settings import AnyPath, checked

if TYPE_CHECKING:
    from samtailor.reproduction.demo_steps import DemoResult


@checked
def demo(out: AnyPath = "demo", miniature: bool = False) -> DemoResult:
    """Try everything on a synthetic abdominal CT: make it, fit, evaluate, predict, report.

    Args:
        out: New or empty directory; data, run, prediction and report.html are written there.
        miniature: Only a few small patients and epochs, to see that everything works; its scores mean nothing.

    Raises:
        ConfigError: If the directory holds something.
        WeightsError: If the base's weights cannot be had.
    """
    from samtailor.reproduction.demo_steps import run_demo

    return run_demo(Path(out), miniature)
