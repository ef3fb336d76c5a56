"""Steps between the stitched class scores and the label; one file each, listed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from samtailor.kinds import Steps
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.step import RefinementStep

STEPS: dict[str, type[RefinementStep]] = {"largest-component": LargestComponent}
"""The steps by their names in settings and files."""

REFINE = Steps("refine", STEPS, nested=True)

Refine = Annotated[str | Sequence[RefinementStep | Mapping[str, Any]], REFINE]
"""A setting that names steps, or holds them."""


def chosen_refinement(refine: Refine | None) -> tuple[RefinementStep, ...] | None:
    """The steps of a setting, which can all work here; None stays None: what the segmenter has saved.

    Raises:
        ConfigError: If there is no such step, or something is not installed that it needs.
    """
    if refine is None:
        return None
    steps = REFINE.chosen(refine)
    for step in steps:
        step.require_ready()
    return steps
