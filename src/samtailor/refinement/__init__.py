"""Steps between the stitched class scores and the label; one file each, listed here."""

from __future__ import annotations

import samtailor.kinds as kinds
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.step import RefinementStep

STEPS: dict[str, type[RefinementStep]] = {"largest-component": LargestComponent}
"""The steps by their names in settings and files."""


def steps_named(refine: str | None) -> tuple[RefinementStep, ...] | None:
    """The steps that a setting `refine` names.

    Args:
        refine: Names joined by commas, or 'none'; None stays None: what the segmenter has saved.

    Raises:
        ConfigError: If there is no such step.
    """
    return None if refine is None else kinds.from_names(refine, STEPS, "refine")
